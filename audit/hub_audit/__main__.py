"""The command line: ``hub-audit``."""

import argparse
import json
import os
import re
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hub_audit import checks, outcome
from hub_audit.dates import dated
from hub_audit.fetch import fetch
from hub_audit.folder import Folder
from hub_audit.notes import Policy
from hub_audit.outcome import Absent, Failed, False_, Undecided, Unusable
from hub_audit.replay import replay

CODES = """exit codes:
  0 verified     1 proven false, and evidence was written     2 wrong usage or malformed input
  3 cannot decide (missing data, quorum short)                4 stale

1 accuses; 3 only asks. 141: nobody read the output to its end."""
READ_NO_FURTHER = 128 + 13
"""The exit code where whoever reads what is printed has gone before its end, as of any program that SIGPIPE ends."""


def seconds(text: str) -> int:
    """``90s``, ``15m``, ``1h``, ``2d`` in seconds."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError("write it as 90s, 15m, 1h or 2d")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]]


def _position(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
        raise argparse.ArgumentTypeError("a position is asked for: 1, 2, 3 …")
    return int(text)


@cache
def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="say what was found as one JSON object")
    pinned = argparse.ArgumentParser(add_help=False)
    pinned.add_argument(
        "--policy", type=Path, metavar="FILE", help="the C2SP tlog-policy that you have pinned; or HUB_AUDIT_POLICY"
    )
    parser = argparse.ArgumentParser(
        "hub-audit",
        description="Prove, offline, what a hub's event log holds.",
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hub-audit {version('hub-audit')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, says: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=says, description=says, parents=[shared, *parents])

    it = command("fetch", "copy a log's checkpoint, tiles and entries; goes on where it was ended", pinned)
    it.add_argument("url", metavar="URL", help="the log's address: https://HOST/log")
    it.add_argument("folder", metavar="DIR", type=Path)
    it.add_argument("--token-file", type=Path, metavar="FILE", help="holds an auditor's token; or HUB_AUDIT_TOKEN does")
    it.add_argument(
        "--again", action="store_true", help="ask for what is here as well, and compare: all is served still"
    )
    it = command("checkpoint", "the log's signature, a quorum of witnesses, and freshness", pinned)
    it.add_argument("folder", metavar="DIR", type=Path)
    it.add_argument("--max-age", type=seconds, metavar="AGE", help="how old a quorum's word may be: 90s, 15m, 1h, 2d")
    it = command("consistency", "all that was sealed in an older checkpoint is still there", pinned)
    it.add_argument("folder", metavar="DIR", type=Path)
    it.add_argument("--since", required=True, type=Path, metavar="OLD", help="a checkpoint that you have kept")
    it = command("fsck", "every leaf, every tile and the root, computed anew")
    it.add_argument("folder", metavar="DIR", type=Path)
    it = command("proof", "this event stands at this position", pinned)
    it.add_argument("file", metavar="FILE", type=Path, help="a .tlog-proof from a record's page")
    it = command("replay", "read models rebuilt from the log are those that the hub has sealed")
    it.add_argument("folder", metavar="DIR", type=Path)
    it.add_argument("--at", type=_position, metavar="POSITION", help="the newest seal that is not after this position")
    it.add_argument("--all", action="store_true", help="every seal by the folds that are installed here, and not one")
    it = command("compare", "two copies of one log agree", pinned)
    it.add_argument("folder", metavar="DIR", type=Path)
    it.add_argument("other", metavar="DIR", type=Path)
    it = command("report", "checkpoint, fsck, consistency (with --since) and replay --all in one", pinned)
    it.add_argument("--skip", action="append", default=[], choices=["replay"], help="leave this check out")
    it.add_argument("folder", metavar="DIR", type=Path)
    it.add_argument("--since", type=Path, metavar="OLD", help="a checkpoint that you have kept")
    it.add_argument("--max-age", type=seconds, metavar="AGE", help="how old a quorum's word may be")
    return parser


def _token(given: argparse.Namespace) -> str | None:
    if given.token_file is None:
        return os.environ.get("HUB_AUDIT_TOKEN")
    try:
        return given.token_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(
            f"{given.token_file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}"
        ) from None


def _proof(file: Path, policy: Policy | None) -> dict[str, Any]:
    try:
        return checks.proof(file.read_bytes().decode("utf-8"), str(file), policy)
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None


def _run(given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    # What was proven: in words, and as data.
    pinned = getattr(given, "policy", None) or os.environ.get("HUB_AUDIT_POLICY")
    policy = checks.policy_in(Path(pinned)) if pinned and hasattr(given, "policy") else None
    folder = Folder(given.folder) if hasattr(given, "folder") else None
    if given.command == "proof":
        found = _proof(given.file, policy)
        words = f"{found['type']}, {found['at']}, by {found['actor']}"
        witnesses = ", ".join(sorted(found["witnesses"])) or "no witness"
        said = f"Event {found['position']} ({words}) is in the log “{found['origin']}”, cosigned by {witnesses}."
        # As JSON still, whatever stands in it, and on one line: a raw break stands between values, never in one.
        blank = {each: " " for each in "\n\r\t"}
        data = "".join(
            each if each.isprintable() else blank.get(each) or json.dumps(each)[1:-1] for each in found["data"]
        )
        return f"{said}\n{data}", found
    assert folder is not None
    match given.command:
        case "fetch":
            checkpoint, count = fetch(given.url, given.folder, _token(given), given.again, policy)
            found = {"size": checkpoint.size, "new": count}
            same = " What was here is served as it was." if given.again else ""
            return f"{checkpoint.size} events are here, to be verified; {count} files were new.{same}", found
        case "checkpoint":
            if policy is None:
                raise Undecided(
                    "Without --policy nobody's signature is checked, and anybody may have written this head."
                )
            found = checks.signatures(folder.checkpoint(), policy, given.max_age)
            try:
                found["dated"], undated = dated(folder, policy), ""
            except Absent as absent:
                if folder.holds_events():
                    raise
                found["dated"], undated = None, f" Dates were not compared: {absent}"
            age = "" if found["age"] is None else f", {checks.ago(found['age'])} ago"
            return (
                f"{found['size']} events are sealed by the log and {len(found['witnesses'])} witnesses{age}.{undated}",
                found,
            )
        case "consistency":
            found = checks.consistency(folder, checks.checkpoint_in(given.since), policy)
            return f"The first {found['old']} of {found['new']} events are those that were sealed before.", found
        case "fsck":
            found = checks.fsck(folder)
            unsigned = "who has signed that root is for “checkpoint” to say"
            return f"{found['size']} events, their times, their tiles and their root are right; {unsigned}.", found
        case "replay":
            found = replay(folder, folder.checkpoint().size, given.at, given.all)
            at, others = ", ".join(map(str, found["positions"])), found["others"]
            where = f"at position {at} of {found['size']}, by the folds {found['folds'][:16]}…,"
            each = (f"{outcome.quoted(code, 16)} at {', '.join(map(str, when))}" for code, when in others.items())
            left = f" By other folds, and not compared: {'; '.join(each)}. Install those releases." if others else ""
            return f"{len(found['models'])} read models {where} are what was sealed.{left}", found
        case _:
            found = checks.compare(folder, Folder(given.other), policy)
            return f"Both agree: {found['one']} and {found['other']} events of one log, and the same ones.", found


def _report(given: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    # All checks, each on its own: one that fails does not hide the others.
    parts: dict[str, argparse.Namespace] = {}
    names = ("checkpoint", "fsck", *(["consistency"] if given.since else []), "replay")
    for name in (each for each in names if each not in given.skip):
        parts[name] = argparse.Namespace(**{**vars(given), "command": name, "at": None, "all": True})
    found = {name: _outcome(part) for name, part in parts.items()}
    codes = [each["code"] for each in found.values()]
    # An accusation comes first, then what could not be used or decided, then what is only old.
    code = next((code for code in (1, 2, 3, 4) if code in codes), 0)
    return code, {"command": "report", "code": code, "checks": found}


def _outcome(given: argparse.Namespace) -> dict[str, Any]:
    try:
        words, found = _run(given)
        return {**found, "command": given.command, "code": outcome.VERIFIED, "message": words}
    except Failed as failed:
        said = {"command": given.command, "code": failed.code, "message": str(failed)}
        if isinstance(failed, False_):
            where = given.folder if hasattr(given, "folder") else given.file.parent
            try:
                said["evidence"] = str(outcome.written(where, failed))
            except OSError as error:
                said["evidence"] = f"could not be written: {error}"
                said["proof"] = failed.proof
        return said
    except (Exception, RecursionError) as error:
        message = f"hub-audit itself failed, so nothing is decided: {type(error).__name__}: {error}"
        return {"command": given.command, "code": outcome.UNDECIDED, "message": message}


def main(words: list[str] | None = None) -> int:
    """Run one command; answers the exit code. What fails in here accuses nobody."""
    given = _parser().parse_args(words)
    try:
        code = _answered(given)
        # What is left for the interpreter to write as it ends would end it with a code of its own.
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("Ended before it was decided.", file=sys.stderr)
    except BrokenPipeError:
        # Whoever reads has gone before the end: nothing more is said, also by the interpreter as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READ_NO_FURTHER
    except OSError as error:
        print(f"What was found could not be printed: {error.strerror}", file=sys.stderr)
    return outcome.UNDECIDED


def _answered(given: argparse.Namespace) -> int:
    if given.command == "report":
        code, found = _report(given)
    else:
        found = _outcome(given)
        code = found["code"]
    if given.json:
        print(json.dumps(found, default=str))
        return code
    if given.command == "report":
        for name, each in found["checks"].items():
            print(f"{name:>12}  {each['code']}  {outcome.plain(_words(each))}")
    else:
        print(outcome.plain(_words(found)), file=sys.stdout if code == 0 else sys.stderr)
    return code


def _words(found: dict[str, Any]) -> str:
    if "evidence" not in found:
        return str(found["message"])
    # A disk errs as well: what was altered here, after it was fetched, is nobody else's doing.
    advice = "Fetch it anew, into an empty folder, before you accuse anybody."
    return f"{found['message']}\nEvidence: {found['evidence']}\n{advice}"


if __name__ == "__main__":
    sys.exit(main())
