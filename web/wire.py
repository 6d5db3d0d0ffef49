"""HTTP as uvicorn speaks it, but that a program's request for ``/graphql`` is answered as soon as it is there."""

import asyncio
import re
from functools import partial
from typing import Any, NamedTuple, cast

from uvicorn._types import HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from web.blocks import Response
from web.shortcut import SHORT, Head, Kept, Request, Shortcut

SHORTCUT = "shortcut"
"""Where the application leaves its ``Shortcut``, in the state that it shares with its server."""
MAX_HEAD, HEAD_IN = 64_000, 60.0
"""Bytes of a request's head, at most; and seconds in which it has to be there, or the connection is closed."""
_HEAD = 4_000
_OTHER = re.compile(rb"\r\n(?:upgrade|http2-settings):[^\r\n]*", re.IGNORECASE)
_UNUSUAL = {b"transfer-encoding", b"expect", b"upgrade"}


class _Short:
    """A short request, with what uvicorn asks of the requests of a connection."""

    message_event = asyncio.Event()

    def __init__(self, named: dict[bytes, bytes], head: Head, body: bytes) -> None:
        self.named, self.head, self.body = named, head, body
        self.response_complete = self.disconnected = False
        self.keep_alive = True


class _Last(NamedTuple):
    """The head of the request that came last, as it stood on the wire: the same bytes say the same."""

    sent: bytes
    whole: int
    named: dict[bytes, bytes]
    head: Head


class Wire(HttpToolsProtocol):
    """One connection. What is not plainly a short request is left to uvicorn, as is one that comes too early."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._shortcut: Shortcut | None = app_state.get(SHORTCUT)
        self._short: _Short | None = None
        self._last: _Last | None = None
        self._between, self._arrived, self._active = True, b"", 0.0
        self._heading, self._whole = 0, False
        self._head_in: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request: not for long."""
        super().connection_made(transport)
        self._head_in = self.loop.call_later(HEAD_IN, self._late)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless it was parsed before: most programs send the same head with every request."""
        last = self._last
        if last is not None and len(data) == last.whole and data.startswith(last.sent) and self._is_free():
            self._taken(_Short(last.named, last.head, data[len(last.sent) :]))
            return
        if self._between and data[:4] != b"GET " and (end := data.find(b"\r\n\r\n")) > 0:
            # Nothing but a socket goes on in another protocol: who offers one beside a body is answered in this one.
            data = _OTHER.sub(b"", data[:end]) + data[end:]
        # Whoever sends a part of a request and then something that looks like a whole one has sent one request.
        self._arrived = data if self._between else b""
        alone, self._whole = self._between or self._heading > 0, False
        super().data_received(data)
        self._arrived = b""
        # What came in one piece with a part of another request is not counted: it is no more than is read at once.
        self._heading += len(data) if self._heading and alone and not self._whole else 0
        if self._heading > MAX_HEAD:
            self._refused(b"431 Request Header Fields Too Large")
        elif self._heading and self._head_in is None:
            self._head_in = self.loop.call_later(HEAD_IN, self._late)

    def _late(self) -> None:
        self._head_in = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._head_in = self.loop.call_later(HEAD_IN, self._late)
        elif self._heading:
            self._refused(b"408 Request Timeout")
        else:
            self.transport.close()

    def _refused(self, status: bytes) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # It is written over no answer that is under way: nothing more is read until that is there.
            self.flow.pause_reading()
        elif not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        # What follows such a head was not read as what it is: the answer to this is the last one.
        self.flow.pause_reading()
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _should_upgrade(self) -> bool:
        return self.parser.get_method() == b"GET" and self.url == b"/graphql" and super()._should_upgrade()

    def _is_free(self) -> bool:
        return self._between and (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused

    def on_message_begin(self) -> None:
        """Make nothing of a request yet."""
        self._between, self._heading = False, 1
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        """Hold back what may be short."""
        self._heading, self._whole = 0, True
        if self._head_in is not None:
            self._head_in.cancel()
            self._head_in = None
        named, head = dict(self.headers), None
        if self._shortcut is not None and self.url == b"/graphql" and self._may_be_short(named):
            head = self._shortcut.head(named)
        if head is not None:
            self._short = _Short(named, head, b"")
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()

    def _may_be_short(self, named: dict[bytes, bytes]) -> bool:
        length = named.get(b"content-length", b"")
        return (
            self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and len(named) == len(self.headers)
            and _UNUSUAL.isdisjoint(named)
            and named.get(b"connection", b"keep-alive").lower() == b"keep-alive"
            and self.parser.should_keep_alive()
            and length.isdigit()
            and len(length) < len(str(SHORT))
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and self.limit_concurrency is None
            and not self.root_path
        )

    def on_body(self, body: bytes) -> None:
        """Hold it back as well."""
        if self._short is None:
            super().on_body(body)
        else:
            self._short.body += body

    def on_message_complete(self) -> None:
        """Answer, or let uvicorn begin."""
        self._between = True
        if (short := self._short) is None:
            super().on_message_complete()
            return
        self._short = None
        end = self._arrived.find(b"\r\n\r\n") + 4
        if 4 <= end <= _HEAD and self._arrived[end:] == short.body:
            self._last = _Last(self._arrived[:end], len(self._arrived), short.named, short.head)
        self._taken(short)

    def _taken(self, short: _Short) -> None:
        assert self._shortcut is not None
        self.cycle = cast(RequestResponseCycle, short)
        request = self._shortcut.understood(short.head, short.body)
        if request is None:
            self._left(short)
        elif (kept := self._shortcut.kept(request)) is not None:
            self._shortcut.look(request).add_done_callback(partial(self._looked, short, request, kept))
        else:
            self._begun(short, request)

    def _looked(self, short: _Short, request: Request, kept: Kept, look: asyncio.Future[Any]) -> None:
        assert self._shortcut is not None
        if look.cancelled() or look.exception() is not None:
            # Who has waited in vain does not wait for another look here.
            self._left(short)
        elif self._shortcut.holds(request, kept, look.result()):
            self._write(short, self._shortcut.fit(kept.response, short.head))
        else:
            self._begun(short, request)

    def _begun(self, short: _Short, request: Request) -> None:
        task = self.loop.create_task(self._answered(short, request))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answered(self, short: _Short, request: Request) -> None:
        assert self._shortcut is not None
        try:
            response = await self._shortcut.response(request, short.head)
        except asyncio.CancelledError:
            short.keep_alive = False
            self._write(short, self._shortcut.closing(request))
            raise
        except Exception as error:
            self.logger.error("a short request failed", exc_info=error)
            response = self._shortcut.failed(request)
        if response is None:
            self._left(short)
        else:
            self._write(short, response)

    def _left(self, short: _Short) -> None:
        # What uvicorn makes of a request, with its body already there.
        scope: HTTPScope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": cast(Any, self.scheme),
            "method": "POST",
            "root_path": "",
            "path": "/graphql",
            "raw_path": b"/graphql",
            "query_string": b"",
            "headers": list(short.named.items()),
            "state": self.app_state.copy(),
            "extensions": {},
        }
        cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=short.keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.body += short.body
        cycle.more_body = False
        cycle.message_event.set()
        cycle.disconnected = self.transport.is_closing()
        if cast(Any, self.cycle) is short:
            self.cycle = cycle
        self._start_asgi_task(cycle, self.app)

    def _write(self, short: _Short, response: Response) -> None:
        short.response_complete = True
        if self.transport.is_closing():
            return
        lines = [b"%b: %b\r\n" % each for each in self.server_state.default_headers]
        if not short.keep_alive:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join((response.line, *lines, response.wire)))
        if not short.keep_alive:
            self.transport.close()
        elif self.timeout_keep_alive_task is None or self.pipeline:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
            self._active = self.loop.time()

    def shutdown(self) -> None:
        """Let whoever has sent a part of a request send the rest, and be answered."""
        if self._short is not None:
            self._short.keep_alive = False
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the timer, however the connection ended."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        if self._head_in is not None:
            self._head_in.cancel()

    def timeout_keep_alive_handler(self) -> None:
        """Close what nobody uses: a timer is not made anew for every request."""
        busy = self.cycle is not None and not self.cycle.response_complete
        left = self.timeout_keep_alive if busy else self._active + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()
