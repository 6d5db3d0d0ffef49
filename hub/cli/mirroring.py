"""``hub mirror``: a copy of a log that verifies as it follows, and serves on what it has."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from hub.audit.mirror import Away, Forged, Mirror, Served
from hub.audit.notes import Malformed
from hub.cli.audit import pinned, with_policy
from hub.cli.console import err, free_port

STRANGE = "The hub serves other personal values than the events name, by their digests: {}."


def _token(file: Path | None) -> str | None:
    # Read anew each time: after a while it is another one.
    if file is None:
        return None
    try:
        token = file.read_bytes().decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise Malformed(f"{file} cannot be read, or holds no token") from None
    if not token.isprintable() or " " in token:
        raise Malformed(f"{file} holds no token: it has only visible ASCII characters")
    return token


@click.command()
@click.argument("url")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@with_policy
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Holds an auditor's token."
)
@click.option(
    "--every", default=5.0, show_default=True, type=click.FloatRange(0.1, 86_400), help="Seconds between looks."
)
@click.option("--once", is_flag=True, help="Take over what there is, then end.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Serve the log at this port too.")
@click.option(
    "--readers",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Who may read entries here: a file with the SHA-256 of one token to a line.",
)
def mirror(
    url: str,
    folder: Path,
    policy_path: Path | None,
    token_file: Path | None,
    every: float,
    once: bool,
    host: str,
    port: int | None,
    readers: Path | None,
) -> None:
    """Mirror the log at URL in FOLDER: verify as it grows, keep every byte, and serve it at the same addresses.

    Exit code 1 means that the hub serves what it has not signed, or rewrote what was mirrored; evidence is in FOLDER.
    What was verified before is served on until the mirror is ended, and nothing new is taken over.
    """
    known = pinned(policy_path)
    listed = frozenset(readers.read_text(errors="replace").split()) if readers else frozenset()
    following = Mirror(url, folder, known, lambda: _token(token_file))
    if port is not None:
        free_port(host, port)
    try:
        sys.exit(asyncio.run(_mirrored(following, every, once, host, port, listed)))
    except KeyboardInterrupt:
        sys.exit(1 if following.forged or following.strange else 0)


async def _mirrored(
    following: Mirror, every: float, once: bool, host: str, port: int | None, readers: frozenset[str]
) -> int:
    serving = None
    if port is not None and not once:
        import uvicorn

        app = Served(following.copy, readers).application()
        config = uvicorn.Config(app, host, port, log_level="warning", access_log=False, server_header=False)
        serving = asyncio.create_task(uvicorn.Server(config).serve())
        err.print(f"The mirror is open at http://{host}:{port}/log — Ctrl-C ends it")
    said, code, named = "", 0, set[str]()
    try:
        while serving is None or not serving.done():
            try:
                new, size = await following.step()
                if new or said or once:
                    _say(f"{new:,} new events; {size:,} are here and verified.")
                if following.strange - named:
                    _say(STRANGE.format(", ".join(sorted(following.strange - named))))
                named, said, code = set(following.strange), "", 1 if following.strange else 0
            except (Away, Malformed, OSError) as error:
                if str(error) != said:
                    said = str(error)
                    _say(said)
                code = 3
            except Forged as error:
                _say(str(error))
                if serving is not None:
                    # What was verified before is what others need now.
                    await serving
                return 1
            if once:
                return code
            if serving is None:
                await asyncio.sleep(every)
            else:
                await asyncio.wait([serving], timeout=every)
        return code
    finally:
        await following.close()


def _say(text: str) -> None:
    err.print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}  {text}")
