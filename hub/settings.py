"""The settings of a hub, all of them in the environment: what each is for, and what is wrong with those given."""

import os
import re
from contextlib import suppress
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from hub.database import default_home

SETTINGS = {
    "HUB_URL": "The address at which people reach the hub: https://HOST. Links and the log's name begin with it.",
    "HUB_ORIGIN": "What the log is called, for good; left out: the host of HUB_URL, and “/log”.",
    "HUB_HOME": "The folder of the data; left out: /var/lib/hub for root, ~/.local/share/hub for others.",
    "HUB_DATABASE_URL": "A PostgreSQL server (15 or later): postgresql://USER@HOST/NAME; left out: the embedded one.",
    "HUB_POLICY": "The file that names the witnesses; left out: “policy” in HUB_HOME.",
    "HUB_OIDC_ISSUER": "An OpenID Connect provider with which people sign in; the next two belong to it.",
    "HUB_OIDC_CLIENT_ID": "What the provider calls the hub.",
    "HUB_OIDC_CLIENT_SECRET": "What the hub shows the provider.",
    "HUB_MAIL_URL": "The mail server for links and notices: smtp://USER:PASSWORD@HOST:587, or smtps://…:465.",
    "HUB_MAIL_FROM": "The address in whose name mail is sent; it belongs to HUB_MAIL_URL.",
    "HUB_POSTGRES_BIN": "The folder of another PostgreSQL's programs; left out: those that came with the hub.",
    "FORWARDED_ALLOW_IPS": "The address of a proxy that is not on this machine: what it says of senders is believed.",
    "PORT": "The port to listen on; left out: 8000.",
}
"""Every setting, in words."""
_OTHERS = ("HUB_TOKEN", "HUB_SERVING")
_ADDRESS = re.compile(r"[^@\s<>,;:]+@[^@\s<>,;:]+\.[^@\s<>,;:]+")
_OIDC = [name for name in SETTINGS if name.startswith("HUB_OIDC_")]
_NAME = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAMED = re.compile(r"[A-Za-z0-9\[][\w\[\].:~-]*(/[\w.:~-]+)*", re.ASCII)
_SITE = re.compile(rf"(https?)://((?:{_NAME}\.)*{_NAME}|\[[0-9a-f:]+\])(?::([1-9]\d{{0,4}}))?/?")


def wrong() -> str:
    """What is wrong with the settings, and what is asked for; empty where nothing is."""
    if (url := os.environ.get("HUB_URL")) and not _is_site(url):
        shown = "no address of a hub" if "@" in url else f"“{url}”"
        return f"HUB_URL is {shown}: https://HOST is asked for (or http://HOST:PORT), in small letters, and no more."
    if (origin := os.environ.get("HUB_ORIGIN")) and not _NAMED.fullmatch(origin):
        shown = "".join(each if each.isprintable() else "�" for each in origin)
        return f"HUB_ORIGIN is “{shown}”: a name like an address is asked for, without blanks, as in hub.example/log."
    if (policy := os.environ.get("HUB_POLICY")) and not Path(policy).is_file():
        return f"HUB_POLICY is “{policy}”: there is no such file."
    if proxies := _no_addresses(os.environ.get("FORWARDED_ALLOW_IPS", "")):
        return (
            f"FORWARDED_ALLOW_IPS is “{proxies}”: addresses or networks of proxies are asked for, with commas between."
        )
    given = [name for name in _OIDC if os.environ.get(name)]
    if given and len(given) < len(_OIDC):
        missing = next(name for name in _OIDC if name not in given)
        return f"{given[0]} is set, but {missing} is not: all three belong together."
    if given and not _is_address(issuer := os.environ[_OIDC[0]]):
        return f"{_OIDC[0]} is “{issuer}”: the address of a provider is asked for, https://…"
    return _wrong_mail()


def unknown() -> list[str]:
    """What is set as if it were a setting and is none, each with the one that was perhaps meant, in words."""
    said = []
    for name in sorted(os.environ):
        if name.startswith("HUB_") and name not in (*SETTINGS, *_OTHERS) and not name.startswith("HUB_AUDIT_"):
            near = " or ".join(get_close_matches(name, SETTINGS, 2, 0.75))
            said.append(f"{name} is no setting, and counts for nothing{f': is {near} meant?' if near else '.'}")
    return said


def _no_addresses(proxies: str) -> str:
    # The server takes what is no address for the name of a socket, and believes nobody.
    for each in proxies.split(",") if proxies not in ("", "*") else []:
        try:
            ip_network(each.strip())
        except ValueError:
            return proxies
    return ""


def policy_file() -> Path:
    """The file that says which witnesses are asked: ``HUB_POLICY``, else ``policy`` in the hub's folder."""
    return Path(os.environ.get("HUB_POLICY") or default_home() / "policy")


def is_named() -> bool:
    """Whether it was said what the log is called, or where the hub is reached: a name that stays for good."""
    return bool(os.environ.get("HUB_ORIGIN") or os.environ.get("HUB_URL"))


def _wrong_mail() -> str:
    url, sender = os.environ.get("HUB_MAIL_URL", ""), os.environ.get("HUB_MAIL_FROM", "")
    if not url and not sender:
        return ""
    if not url or not sender:
        return "HUB_MAIL_URL and HUB_MAIL_FROM belong together, and one of them is not set."
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("smtp", "smtps") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        # It may hold a password.
        return "HUB_MAIL_URL is no address of a mail server: smtp://USER:PASSWORD@HOST:587 is asked for, or smtps://…"
    if not _ADDRESS.fullmatch(sender):
        return f"HUB_MAIL_FROM is “{sender}”: an e-mail address is asked for, as in hub@hub.example."
    if not os.environ.get("HUB_URL"):
        return "HUB_MAIL_URL is set, but HUB_URL is not: the links in mails begin with it."
    return ""


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_site(url: str) -> bool:
    # As a browser names it, whose word is compared with this one: in small letters, without the port that goes without.
    if (found := _SITE.fullmatch(url)) is None or not _is_address(url):
        return False
    usual = {"https": "443", "http": "80"}[found[1]]
    return found[3] is None or (found[3] != usual and int(found[3]) < 65_536)


def address() -> str:
    """Where the hub is reached from outside: ``HUB_URL``, else where it was served last."""
    if given := os.environ.get("HUB_URL"):
        return given.rstrip("/")
    if "PORT" not in os.environ:
        with suppress(OSError, UnicodeDecodeError):
            return (default_home() / "address").read_text().strip()
    return f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"


def remember(address: str) -> None:
    """Note where the hub is served, for commands that are given later."""
    with suppress(OSError):
        (default_home() / "address").write_text(address + "\n")
