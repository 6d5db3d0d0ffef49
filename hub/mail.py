"""Mail through the institution's own server: HUB_MAIL_URL says which, HUB_MAIL_FROM in whose name."""

import asyncio
import os
import re
import smtplib
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.header import Header
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import formatdate, make_msgid
from typing import Any
from urllib.parse import unquote, urlsplit

from domain.people.commands import MAILABLE

PATIENCE, LONGEST = 15.0, 60.0
"""Seconds that a mail server has for each step, and for a mail."""
ENOUGH = "they were told enough for now"
"""Why a mail waits that nobody has tried to send yet."""
_ADDRESS = re.compile(MAILABLE)
_BUSY = 421
_HERE = ("localhost", "127.0.0.1", "::1")


class _Folding(EmailPolicy):
    """Folds a subject so that the spaces between its words are kept: the library's own policy loses one where a line of
    encoded words ends.
    """

    def fold_binary(self, name: str, value: Any) -> bytes:
        if name.lower() != "subject":
            return super().fold_binary(name, value)
        subject = Header(str(value), None if str(value).isascii() else "utf-8", header_name=name)
        return f"{name}: {subject.encode(linesep=self.linesep)}{self.linesep}".encode("ascii")


_SMTP = _Folding(linesep="\r\n")
_SMTPUTF8 = _SMTP.clone(utf8=True)


class NotSent(Exception):
    """A mail was not taken; ``final`` where it never will be, so that trying again is of no use.

    ``alone`` where it is about its recipient: mails to others may be taken.
    """

    def __init__(self, why: str, final: bool = False, alone: bool = False) -> None:
        super().__init__(why)
        self.final, self.alone = final, alone or final


@dataclass(frozen=True)
class Mail:
    """A mail server, and the address in whose name it is asked."""

    url: str
    sender: str

    @classmethod
    def told(cls) -> "Mail | None":
        """The server that the environment names; none where it names none."""
        url, sender = os.environ.get("HUB_MAIL_URL", ""), os.environ.get("HUB_MAIL_FROM", "")
        return cls(url, sender) if url and sender else None

    async def send(self, to: str, subject: str, text: str) -> None:
        """Hand a mail over to the server; raises ``NotSent``, whose words name no recipient."""
        if not _ADDRESS.fullmatch(to):
            # Read again as a header it would be another address, or several: a link is for one person.
            raise NotSent("the address is none that mail can be sent to", final=True)
        message = EmailMessage(policy=_SMTP if to.isascii() else _SMTPUTF8)
        message["From"], message["To"], message["Subject"] = self.sender, to, subject
        message["Date"], message["Message-ID"] = (
            formatdate(),
            make_msgid(domain=self.sender.rpartition("@")[2].strip(">")),
        )
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        try:
            async with asyncio.timeout(LONGEST):
                await _aside(lambda: self._deliver(message, to))
        except TimeoutError:
            raise NotSent("the mail server takes too long") from None

    def _deliver(self, message: EmailMessage, to: str) -> None:
        parts = urlsplit(self.url)
        host, secure = parts.hostname or "", ssl.create_default_context()
        try:
            if parts.scheme == "smtps":
                server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=PATIENCE, context=secure)
            else:
                server = smtplib.SMTP(host, parts.port or 587, timeout=PATIENCE)
            with server:
                server.ehlo()
                if parts.scheme == "smtp" and server.has_extn("starttls"):
                    server.starttls(context=secure)
                    server.ehlo()
                elif parts.scheme == "smtp" and host not in _HERE:
                    # A link is a secret: it crosses no network in the open.
                    raise NotSent("the mail server offers no encryption")
                if parts.username and not server.has_extn("auth"):
                    raise NotSent("the mail server lets nobody sign in, and HUB_MAIL_URL has a user")
                if parts.username:
                    _login(server, unquote(parts.username), unquote(parts.password or ""))
                server.send_message(message, self.sender, [to])
        except smtplib.SMTPRecipientsRefused as refused:
            code = max((code for code, _ in refused.recipients.values()), default=550)
            raise NotSent(f"the mail server refused the address ({code})", code >= 500, alone=code != _BUSY) from None
        except smtplib.SMTPNotSupportedError:
            raise NotSent("the mail server does not take such an address", final=True) from None
        except smtplib.SMTPDataError as error:
            final = error.smtp_code >= 500
            why, alone = f"the mail server refused the mail ({error.smtp_code})", error.smtp_code != _BUSY
            raise NotSent(why, final, alone) from None
        except smtplib.SMTPResponseException as error:
            # What a server says may repeat the address.
            raise NotSent(f"the mail server answered {error.smtp_code}") from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotSent(f"the mail server cannot be reached: {error or type(error).__name__}") from None


def _login(server: smtplib.SMTP, user: str, password: str) -> None:
    try:
        server.login(user, password)
    except UnicodeEncodeError:
        # Its words would show a letter of the password.
        raise NotSent("the user or the password in HUB_MAIL_URL has letters that no mail server takes") from None


async def _aside(do: Callable[[], None]) -> None:
    # In a thread that nobody waits for when the hub closes, and that is none of those that others wait for.
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if not done.done():
            done.set_result(None) if error is None else done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            do()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=run, daemon=True, name="mail").start()
    await done
