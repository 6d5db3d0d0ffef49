"""GraphQL over ``graphql-transport-ws``."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from web.answers import AWAY
from web.asking import MAX_BODY, Asked, Malformed, address_of, asked, decoded, secret_of
from web.live import Closing
from web.reads.fallback import Place
from web.reads.measuring import limited
from web.reads.viewer import Viewer

if TYPE_CHECKING:
    from web.graphql import Endpoint

MAX_OPERATIONS = 50


class Socket:
    """One connection: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md"""

    def __init__(self, endpoint: "Endpoint", websocket: WebSocket) -> None:
        self._endpoint, self._socket = endpoint, websocket
        self._secret = secret_of(websocket)
        self._token = "authorization" in websocket.headers
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ready = False

    async def serve(self) -> None:
        """Until either side leaves."""
        try:
            while True:
                wait = None if self._ready else 10
                async with asyncio.timeout(wait):
                    message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                text = message.get("text")
                if text is None:
                    await self._socket.close(4400, "Send text: a message is JSON")
                    return
                if (close := await self._receive(text)) is not None:
                    await self._socket.close(*close)
                    return
        except TimeoutError:
            await self._socket.close(4408, "Connection initialisation timeout")
        except (WebSocketDisconnect, RuntimeError):
            pass  # gone
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _receive(self, text: str) -> tuple[int, str] | None:
        if len(text) > MAX_BODY:
            return 4400, "Message too large"
        try:
            message = decoded(text.encode("utf-8", "surrogatepass"))
        except Malformed as error:
            return 4400, str(error)[:120]
        kind = message.get("type") if isinstance(message, dict) else None
        match kind:
            case "connection_init" if self._ready:
                return 4429, "Too many initialisation requests"
            case "connection_init":
                given = message.get("payload")
                if isinstance(given, dict) and isinstance(shown := _authorization(given), str):
                    self._secret, self._token = shown.partition(" ")[2].strip(), True
                if self._token and (await self._endpoint.viewers.find(self._secret)).person is None:
                    return 4403, "Forbidden"
                self._ready = True
                await self._send({"type": "connection_ack"})
            case "ping":
                await self._send({"type": "pong"})
            case "pong":
                pass
            case "complete" if isinstance(message.get("id"), str):
                if (task := self._running.pop(message["id"], None)) is not None:
                    task.cancel()
            case "subscribe" if not self._ready:
                return 4401, "Unauthorized"
            case "subscribe" if isinstance(message.get("id"), str) and message["id"]:
                id = message["id"]
                if id in self._running:
                    # A frame that closes holds 123 bytes.
                    return 4409, f"Subscriber for {id.encode()[:80].decode(errors='ignore')} already exists"
                if len(self._running) >= MAX_OPERATIONS:
                    busy = limited("BUSY", f"One connection carries {MAX_OPERATIONS} operations at once.")
                    await self._send({"id": id, "type": "error", "payload": [busy.formatted]})
                    return None
                try:
                    ask = asked(message.get("payload"))
                except Malformed as error:
                    return 4400, str(error)[:120]
                self._running[id] = asyncio.create_task(self._operate(id, ask))
            case _:
                return 4400, "Invalid message"
        return None

    async def _operate(self, id: str, ask: Asked) -> None:
        try:
            viewer = await self._endpoint.viewers.find(self._secret, self._socket.state.language)
            if self._token and viewer.person is None:
                await self._socket.close(4403, "Forbidden")
                return
            await self._results(id, ask, viewer)
        except Closing:
            # A client that was only interrupted comes back by itself.
            with suppress(RuntimeError, WebSocketDisconnect):
                await self._socket.close(1012, "The hub is closing: come back in a moment")
        except AWAY:
            away = limited("BUSY", "The database is away for a moment: try again.")
            self._running.pop(id, None)
            await self._send({"id": id, "type": "error", "payload": [away.formatted]})

    async def _results(self, id: str, ask: Asked, viewer: Viewer) -> None:
        place = Place(address=address_of(self._socket))
        async for body in self._endpoint.results(ask, viewer, self._secret, ask.key, place=place):
            result = msgspec.json.decode(body)
            if "data" not in result:
                self._running.pop(id, None)
                await self._send({"id": id, "type": "error", "payload": result["errors"]})
                return
            await self._send({"id": id, "type": "next", "payload": result})
        self._running.pop(id, None)
        await self._send({"id": id, "type": "complete"})

    async def _send(self, message: dict[str, Any]) -> None:
        # Whoever has gone hears no more of it; that they have is found by who reads from them.
        with suppress(RuntimeError, WebSocketDisconnect):
            await self._socket.send_text(msgspec.json.encode(message).decode())


def _authorization(payload: dict[str, Any]) -> Any:
    # As a header's, its name may be written in any case; some clients send headers as such.
    headers = payload.get("headers")
    sent = {**(headers if isinstance(headers, dict) else {}), **payload}
    return next((value for name, value in sent.items() if name.lower() == "authorization"), None)
