"""Organizations from ROR's dump (schema 2.x), as a JSON array or the .zip that it comes in."""

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from domain.core import LANGUAGES
from domain.organizations.commands import ImportOrganization

_KINDS = {
    "education": "university",
    "healthcare": "hospital",
    "company": "company",
    "archive": "archive",
    "nonprofit": "nonprofit",
    "government": "ministry",
    "facility": "laboratory",
    "funder": "funder",
    "other": "other",
}


class Unreadable(Exception):
    """The file is no ROR dump; the message says what is wrong with it."""


def records(path: Path) -> list[Any]:
    """The records of a dump; raises ``Unreadable``."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                inside = [name for name in archive.namelist() if name.endswith(".json")]
                # A dump holds two files for some releases; the one of schema 2 says so in its name.
                name = next((name for name in inside if "schema_v2" in name), inside[0] if inside else None)
                if name is None:
                    raise Unreadable(f"{path} holds no .json file: is it ROR's dump?")
                data = archive.read(name)
        else:
            data = path.read_bytes()
        found = json.loads(data)
    except UnicodeDecodeError:
        raise Unreadable(f"{path} is neither JSON nor a whole .zip: unpack it, or fetch it again.") from None
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise Unreadable(f"{path} cannot be read: {error}") from None
    if not isinstance(found, list):
        raise Unreadable(f"{path} is no JSON array of records: is it ROR's dump?")
    return found


def command(record: Any) -> ImportOrganization:
    """A record as the command that imports it; raises ``ValueError`` saying what is malformed."""
    try:
        shown = next(name["value"] for name in record["names"] if "ror_display" in name["types"])
        names = {
            name["lang"]: name["value"]
            for name in record["names"]
            if "label" in name["types"] and name.get("lang") in LANGUAGES
        }
        every = dict.fromkeys(name["value"] for name in record["names"])
        place = record["locations"][0]["geonames_details"]
        links = (link["value"] for link in record.get("links", ()) if link["type"] == "website")
        website = next((link for link in links if link.startswith(("https://", "http://"))), None)
        plain = {
            "ror": record["id"].removeprefix("https://ror.org/"),
            "name": shown,
            "names": names,
            "kind": next((_KINDS[kind] for kind in record["types"] if kind in _KINDS), "other"),
            "city": place["name"],
            "country": place["country_code"],
            "active": record["status"] == "active",
            "latitude": place.get("lat"),
            "longitude": place.get("lng"),
            "website": website,
            "domains": record.get("domains", ()),
            "established": record.get("established"),
            "modified": record["admin"]["last_modified"]["date"],
            "aliases": [name for name in every if name.strip() and name != shown and name not in names.values()],
        }
        for name, most in (("latitude", 90), ("longitude", 180)):
            if plain[name] is not None and not abs(plain[name]) <= most:
                raise ValueError(f"its {name} is no place on Earth")
        return msgspec.convert(plain, ImportOrganization)
    except StopIteration:
        raise ValueError("it has no name that ROR displays") from None
    except KeyError as error:
        raise ValueError(f"it has no “{error.args[0]}”") from None
    except (IndexError, TypeError, AttributeError):
        raise ValueError("it does not have the form of ROR's schema 2") from None
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def commands(found: list[Any]) -> Iterator[tuple[int, ImportOrganization | ValueError]]:
    """Each record's index with its command, or with what is wrong with it."""
    for index, record in enumerate(found):
        try:
            yield index, command(record)
        except ValueError as error:
            yield index, error
