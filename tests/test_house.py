"""The house itself: imports go one way, and nothing is left unfolded. Each check has a positive control."""

import ast
import gc
import inspect
import os
import re
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
from graphql import GraphQLField, GraphQLObjectType, GraphQLString, TypeDefinitionNode, build_schema, get_named_type
from msgspec import inspect as types

from domain.calls.state import Call
from domain.core import Command, Due, every_command, every_event, every_state
from domain.core.command import CommandMeta
from domain.core.state import Role
from domain.deciding import records
from hub.checking import bare_type, fields_of
from hub.database import default_home
from hub.settings import SETTINGS
from hub.tables import digest, undocumented
from projections.core import Grant, Row, RowMeta, every_row
from web.reads import changes, former, overview  # noqa: F401  (they register their loaders)
from web.reads.late import LOADERS, loads
from web.reads.mapping import costs_of, reading, snake, type_of
from web.schema import document, published, schema
from web.schema.mutations import camel

ROOT = Path(__file__).parent.parent
ROOMS = ("domain", "projections", "hub", "web")
SUBJECTS = sorted(each.parent.name for each in (ROOT / "domain").glob("*/__init__.py") if each.parent.name != "core")


def wrong_imports(room: str, source: str) -> list[str]:
    """What a module of this room imports from a room that stands after it."""
    later = ROOMS[ROOMS.index(room) + 1 :]
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return [name for name in names if name.partition(".")[0] in later]


def events_without_state(events, states) -> list[str]:
    folded = {type for state in states for type in state.types}
    return [event.type for event in events if event.type not in folded]


def test_imports_go_one_way():
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            assert wrong_imports(room, path.read_text()) == [], path


def test_a_planted_wrong_import_is_caught():
    assert wrong_imports("domain", "from hub.log import Log") == ["hub.log"]
    assert wrong_imports("projections", "import web.pages") == ["web.pages"]
    assert wrong_imports("web", "import hub") == []


def of_the_command_line(source: str) -> list[str]:
    """What a module imports of the command line, which stands on everything else."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.module]
    names = [f"{node.module}.{alias.name}" for node in nodes for alias in node.names]
    return [name for name in names if name.startswith("hub.cli")]


def test_nothing_stands_on_the_command_line():
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if path.parent != ROOT / "hub/cli" and path != ROOT / "hub/__main__.py":
                assert of_the_command_line(path.read_text()) == [], path
    assert of_the_command_line("from hub import cli\nfrom hub.cli.console import err") == [
        "hub.cli",
        "hub.cli.console.err",
    ]


def imported(source: str) -> set[str]:
    """The packages that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_the_hub_and_its_auditors_share_no_code():
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            assert "hub_audit" not in imported(path.read_text()), path
    for path in (ROOT / "audit").rglob("*.py"):
        # Replay rebuilds the hub's own read models: it takes the pure folds, and nothing that writes or serves.
        allowed = {"domain", "projections"} if path.stem == "replay" else set()
        assert not imported(path.read_text()) & set(ROOMS) - allowed, path


def test_a_planted_shared_import_is_caught():
    assert imported("def f():\n    from hub.audit import merkle") == {"hub"}


def impure(source: str) -> set[str]:
    """What a module of the domain imports that it may not."""
    return imported(source) - {"domain", "msgspec"} - sys.stdlib_module_names


def test_domain_is_pure():
    for path in (ROOT / "domain").rglob("*.py"):
        assert not impure(path.read_text()), path


@pytest.mark.parametrize("planted", ["import asyncpg", "import asyncpg.pool as p", "def f():\n    import hub"])
def test_a_domain_that_is_not_pure_is_caught(planted):
    assert len(impure(planted)) == 1
    assert not impure("import re, msgspec\nfrom domain.core import Event")


def others(subject: str, source: str) -> set[str]:
    """What a module of a subject imports of the other subjects: their names as ``people.state``."""
    found = {
        node.module.removeprefix("domain.")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    return {each for each in found if each.partition(".")[0] in set(SUBJECTS) - {subject}}


def test_a_subject_knows_of_another_only_its_state():
    for subject in SUBJECTS:
        for path in (ROOT / "domain" / subject).glob("*.py"):
            known = others(subject, path.read_text())
            assert {each.partition(".")[2] for each in known} <= {"state"}, (path, known)
            assert not known or path.stem != "events", path


def test_a_subject_that_knows_another_better_is_caught():
    assert others("calls", "from domain.people.commands import JoinHub") == {"people.commands"}
    assert others("calls", "from domain.calls.events import RoundOpened") == set()


def beside_events(source: str) -> list[str]:
    """What a module imports of the domain besides events and what every subject stands on."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "domain":
            names += [f"domain.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    own = [name for name in names if name.partition(".")[0] == "domain"]
    return [name for name in own if not re.fullmatch(r"domain\.(core(\.\w+)?|\w+\.events)", name)]


def test_a_fold_reads_events_and_nothing_else_of_the_domain():
    """So that the digest of the read models, which is one of folds and events, misses nothing."""
    for path in (ROOT / "projections").glob("*.py"):
        assert beside_events(path.read_text()) == [], path
    planted = ("from domain import results", "import domain.standing", "from domain.people.state import Person")
    assert all(beside_events(each) for each in planted)
    assert beside_events("from domain.people.events import PersonJoined\nfrom domain.core import Event") == []


def test_every_event_is_folded_into_a_state():
    assert events_without_state(every_event(), every_state()) == []


def test_an_event_that_nothing_folds_is_caught():
    class Unfolded:
        type = "Unfolded"

    assert events_without_state([Unfolded], every_state()) == ["Unfolded"]


def test_every_command_says_who_and_what_in_words():
    for command in every_command():
        assert command.by and all(isinstance(role, Role) for role in command.by), command
        assert command.__doc__ and command.__doc__.endswith("."), command
        assert command.on.kind.name, command


def test_every_event_says_in_words_what_happened():
    for event in every_event():
        assert event.__doc__ and event.__doc__.endswith("."), event


MAKES_ROWS = [f"projections.{name}" for name in ("words", "places", "core", "organizations", "history")]
MAKES_ROWS += ["domain.core.event", "domain.organizations.events", "domain.people.events", "hub.batch", "hub.tables"]


@pytest.mark.parametrize("name", MAKES_ROWS)
def test_whatever_makes_a_row_is_in_the_digest(monkeypatch, name):
    """Else a version with other folds would go on with the rows of the one before."""
    assert digest() != digest_with_changed(monkeypatch, name)


def test_what_is_only_said_of_a_fold_is_not_in_the_digest():
    source = '''"""A module."""\n\nLIMIT = 3\n"""So many."""\n\n\ndef fold(row):\n    """Well."""\n    return row\n'''
    longer = source.replace("So many", "So\nmany").replace("Well", "Well,\n    better")
    assert undocumented(source) == undocumented(longer) != undocumented(source.replace("3", "4"))
    assert undocumented(source).split() == ["LIMIT", "=", "3", "def", "fold(row):", "return", "row"]


@pytest.mark.parametrize("name", ["domain.proposals.commands", "domain.people.state", "domain.standing"])
def test_who_changes_what_may_be_done_keeps_the_read_models(monkeypatch, name):
    """An upgrade that touches no fold and no event starts at once, however long the log is."""
    assert digest() == digest_with_changed(monkeypatch, name)


def digest_with_changed(monkeypatch, name: str) -> str:
    module, source = import_module(name), inspect.getsource
    with monkeypatch.context() as changed:
        changed.setattr(inspect, "getsource", lambda each: source(each) + "#" * (each is module))
        return digest()


def test_every_subject_has_its_form_and_its_stories():
    assert {"calls", "organizations", "people", "proposals", "seals"} <= set(SUBJECTS)
    for subject in SUBJECTS:
        parts = {path.stem for path in (ROOT / "domain" / subject).glob("*.py")}
        assert {"__init__", "events", "state", "commands"} <= parts, subject
        assert (ROOT / "projections" / f"{subject}.py").exists(), subject
        assert (ROOT / "tests" / f"test_{subject}.py").exists(), subject


def unprojected(events, rows) -> list[str]:
    """The types of events that no row is folded from."""
    folded = {event for row in rows for event in row.folds}
    return [event.type for event in events if event not in folded]


def test_every_event_shows_somewhere():
    assert unprojected(every_event(), every_row()) == []
    apart = [row for row in every_row() if row.table != "call"]
    assert "RoundOpened" in unprojected(every_event(), apart)


LONG = 1_000


def long_texts() -> set[str]:
    """What people may write at length, as the API calls it."""
    found = set()
    for command in every_command():
        for name, (field, _) in fields_of(command).items():
            type = bare_type(types.type_info(field.type))
            if isinstance(type, types.StrType) and (type.max_length or 0) >= LONG:
                found.add(camel(name))
    return found


def test_what_may_be_long_costs_something():
    """Else a page of a hundred records could be a hundred megabytes."""
    long = long_texts()
    assert {"abstract", "summary", "harms", "safeguards", "reason"} <= long
    for type in schema().type_map.values():
        for name, field in getattr(type, "fields", {}).items():
            if isinstance(type, GraphQLObjectType) and name in long and get_named_type(field.type) is GraphQLString:
                assert costs_of(field), f"{type.name}.{name}"


def test_every_subject_is_known_to_whoever_asks_first():
    """Without a list of them that a new one would have to be written into."""
    ask = "from {0} import {1}; print(len([*{1}()]))"
    for room, every in (
        ("domain.core", "every_event"),
        ("domain.core", "every_command"),
        ("projections.core", "every_row"),
    ):
        done = subprocess.run([sys.executable, "-c", ask.format(room, every)], capture_output=True, text=True, cwd=ROOT)
        known = len([*getattr(import_module(room), every)()])
        assert done.stdout.strip() == str(known), (every, done)


def undescribed(schema) -> list[str]:
    """The types of a schema, and the values of its enums, that nothing is said of."""
    own = [each for name, each in schema.type_map.items() if not name.startswith("__")]
    parts = {}
    for each in own:
        parts |= {f"{each.name}.{name}": part for name, part in getattr(each, "values", {}).items()}
        for name, field in getattr(each, "fields", {}).items():
            parts[f"{each.name}.{name}"] = field
            parts |= {f"{each.name}.{name}({of})": part for of, part in getattr(field, "args", {}).items()}
    return [each.name for each in own if not each.description] + [
        at for at, part in parts.items() if not part.description
    ]


def test_everything_in_the_schema_says_what_it_means():
    scalars = {"ID", "String", "Int", "Float", "Boolean"}
    assert [each for each in undescribed(schema()) if each.partition(".")[0] not in scalars] == []
    planted = (
        '"Said." type Query { "Said." color(of: Int): Color } enum Color { "Said." RED GREEN } input In { it: Int }'
    )
    found = [each for each in undescribed(build_schema(planted)) if each.partition(".")[0] not in scalars]
    assert found == ["Color", "In", "Query.color(of)", "Color.GREEN", "In.it"]


def test_whatever_a_statement_cannot_know_has_what_loads_it():
    late = {
        how.by or snake(name)
        for type in schema().type_map.values()
        for name, field in getattr(type, "fields", {}).items()
        if isinstance(field, GraphQLField) and (how := reading(field)).kind == "late"
    }
    # How many records belong to each of many is asked for by no directive.
    assert {"personal", "actions", "as_of"} < late and set(LOADERS) == {*late, "belonging"}

    async def personal():
        """A loader whose name is taken."""

    with pytest.raises(ValueError, match="personal is loaded already"):
        loads(personal)


def test_every_code_of_an_error_is_in_the_schema():
    said = published()
    sources = [path.read_text() for path in (ROOT / "web").rglob("*.py")]
    codes = {
        code
        for text in sources
        for code in re.findall(r'(?:limited|_failed)\(\s*"([A-Z_]+)"|"code": "([A-Z_]+)"', text)
    }
    codes = {each for pair in codes for each in pair if each}
    assert {"BUSY", "UNKNOWN", "TOO_COSTLY", "BAD_INPUT", "INTERNAL"} <= codes
    assert [each for each in sorted(codes) if f"`{each}`" not in said] == []


def test_no_story_meets_the_hub_of_whoever_runs_them():
    assert {name for name in SETTINGS if name in os.environ} == {"HUB_HOME"}
    assert default_home().name.startswith("hub-nobodys-") and not [*default_home().iterdir()]


def test_every_name_of_the_schema_means_one_thing():
    names = [each.name.value for each in document().definitions if isinstance(each, TypeDefinitionNode)]
    assert len(names) > 100 and [name for name, times in Counter(names).items() if times > 1] == []


def test_an_input_says_how_much_fits():
    fields = schema().type_map["InvitePartnerInput"].fields
    assert fields["contribution"].description.endswith("3 to 2,000 characters.")
    assert fields["proposal"].description == "The proposal that it is about."
    assert schema().type_map["CriterionInput"].fields["weight"].description == "1 to 100."


def test_the_statuses_of_a_record_are_those_that_its_events_bring():
    types = schema().type_map
    stand = {kind: state.statuses for kind, state in records().items() if state.statuses}
    assert {"call", "organization", "person", "proposal"} <= set(stand)
    for kind, statuses in stand.items():
        assert {value.lower() for value in types[f"{type_of(kind)}Status"].values} == statuses


def test_whatever_a_record_becomes_by_a_command_that_command_may_repeat():
    done = {(cls.on.kind.name, cls.done) for cls in every_command() if cls.done}
    becomes = {(kind, status) for kind, state in records().items() for status in state.statuses}
    # What begins a record makes a new one each time, and a reason that is given is kept or refused, never dropped.
    begun = {("call", "draft"), ("organization", "registered"), ("person", "invited"), ("proposal", "draft")}
    with_reason = {("proposal", status) for status in ("returned", "ineligible", "declined", "withdrawn")}
    assert becomes - done == {*begun, *with_reason, ("organization", "suspended"), ("organization", "closed")}


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ({"while_": {"begun"}}, "Call is never begun"),
        ({"done": "begun"}, "Call is never begun"),
        ({"due": Due("closes_at", "begun")}, "Call is never begun"),
        ({"due": Due("ends_at", "open")}, "Call has no ends_at"),
    ],
)
def test_a_command_that_waits_for_what_never_is_cannot_be_written(planted, said):
    with pytest.raises(TypeError, match=said):
        CommandMeta("Planted", (Command,), {}, on=Call, by=Role.HUB, **planted)
    gc.collect()


def test_a_row_that_grants_what_it_does_not_have_cannot_be_written():
    with pytest.raises(TypeError, match="in its column principal, to whom in person"):
        RowMeta("Planted", (Row,), {"__annotations__": {"principal": str}}, grants=Grant("person"))
    gc.collect()
