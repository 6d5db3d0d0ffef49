"""Digests of the read models: what each of them is at one position, as one hash over its rows.

A row is the canonical JSON (RFC 8785) of its columns: instants as ``2027-03-01T09:00:00Z``, with six digits of a
second's fraction where there is one; personal values sealed, as the events have them. The words that search finds a row
by are made from its columns and are left out. Rows stand in the order of their keys, by code points; the digest is the
RFC 6962 root over them.

``python -m hub.audit.digests`` does it in a process of its own, so that nobody waits for it.
"""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

import domain
import projections
from domain.seals.commands import SealedModel, SealReadModels
from hub.audit.merkle import WIDTH, leaf_hash, root_of
from hub.connecting import connect
from hub.locks import Lock
from hub.log import as_writer
from hub.tables import TABLES, columns
from projections.core import Row

CHUNK = 4_096
encoded = msgspec.json.Encoder(order="sorted").encode
"""Canonical JSON, of values without floating-point numbers: see ``number``."""


@cache
def code() -> str:
    """The digest of the folds and of the domain that they read: SHA-256 over what ``sha256sum`` prints of their files.

    ``find domain projections -name '*.py' | LC_ALL=C sort | xargs sha256sum | sha256sum`` prints the same.
    """
    lines = []
    for package in (domain, projections):
        folder = Path(package.__path__[0])
        for file in folder.rglob("*.py"):
            lines.append((file.relative_to(folder.parent).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()))
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in sorted(lines)).encode()).hexdigest()


def number(value: float) -> msgspec.Raw:
    """A double as ECMAScript writes it (RFC 8785, 3.2.2.3): plain digits from 0.000001 up to 10 to the 21st."""
    shortest = Decimal(repr(value)).normalize()
    if not value or 1e-6 <= abs(value) < 1e21:
        return msgspec.Raw(b"0" if not value else format(shortest, "f").encode())
    exponent = shortest.adjusted()
    return msgspec.Raw(f"{shortest.scaleb(-exponent):f}e{exponent:+d}".encode())


def _same(value: Any) -> Any:
    return value


def _instant(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")


def _day(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def _json(value: str | None) -> Any:
    return None if value is None else json.loads(value, parse_float=lambda text: number(float(text)))


def _double(value: float | None) -> msgspec.Raw | None:
    return None if value is None else number(value)


_AS: dict[str, Callable[[Any], Any]] = {
    "timestamptz": _instant,
    "date": _day,
    "json": _json,
    "double precision": _double,
}


def canonical(cls: type[Row]) -> Callable[[asyncpg.Record], bytes]:
    """How a row of this type is written before it is hashed; floating-point numbers are in none."""
    readings = [(name, _AS.get(type, _same)) for name, (type, _) in columns(cls).items()]

    def write(row: asyncpg.Record) -> bytes:
        return encoded({name: read(value) for (name, read), value in zip(readings, row, strict=True)})

    return write


async def digest(dsn: str, schema: str) -> SealReadModels:
    """What the read models in this schema are, all at one position; keeps the hashes of their rows for auditors."""
    reads, writes = await connect(dsn), await connect(dsn)
    try:
        # As the hub itself reads: what is hidden from it by a policy on rows is missing here too.
        await as_writer(reads)
        await as_writer(writes)
        async with (
            reads.transaction(isolation="repeatable_read", readonly=True),
            writes.transaction(),
        ):
            position = await reads.fetchval(f"SELECT at FROM {schema}.position")
            # One at a time: the hashes that stay are those of the newest position.
            await writes.execute(f"SELECT pg_advisory_xact_lock({Lock.SEALED_ROWS})")
            # Those of the last seal stay until this one is recorded, and one longer.
            await writes.execute(
                """DELETE FROM hub.sealed_rows
                   WHERE position = $1 OR position < (SELECT max(position) FROM hub.sealed_rows)""",
                position,
            )
            models = [await _model(reads, writes, schema, cls, position) for cls in TABLES.values()]
            return SealReadModels(code=code(), position=position, models=tuple(models))
    finally:
        await reads.close()
        await writes.close()


async def _model(
    reads: asyncpg.Connection, writes: asyncpg.Connection, schema: str, cls: type[Row], position: int
) -> SealedModel:
    own = columns(cls)
    names = ", ".join(f'"{name}"' for name in own)
    order = ", ".join(f'"{name}" COLLATE "C"' if own[name][0] == "text" else f'"{name}"' for name in cls.key)
    write, hashes = canonical(cls), list[bytes]()
    async for row in reads.cursor(f'SELECT {names} FROM {schema}."{cls.table}" ORDER BY {order}', prefetch=CHUNK):
        hashes.append(leaf_hash(write(row)))
    tiles = [(cls.table, position, n // WIDTH, b"".join(hashes[n : n + WIDTH])) for n in range(0, len(hashes), WIDTH)]
    await writes.copy_records_to_table("sealed_rows", schema_name="hub", records=tiles)
    return SealedModel(name=cls.table, rows=len(hashes), root=root_of(hashes).hex())


class Undigested(Exception):
    """The read models could not be digested; the message says why."""


async def digested(dsn: str, schema: str) -> SealReadModels:
    """The same in a process of its own, behind whatever else this machine does; raises ``Undigested``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    # An address of a database may hold a password: it is no argument.
    try:
        out, complaint = await process.communicate(json.dumps([dsn, schema]).encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        # The last line says what it was; those before it, where.
        said = complaint.decode(errors="replace").strip().rpartition("\n")[2][-300:]
        raise Undigested(f"the read models could not be digested: {said}")
    return msgspec.json.decode(out, type=SealReadModels)


if __name__ == "__main__":
    os.nice(10)
    print(msgspec.json.encode(asyncio.run(digest(*json.load(sys.stdin)))).decode())
