"""Asking others: what the environment says of proxies keeps nobody from those who are reached without one."""

import asyncio
import functools
import http.server
import ssl
import threading

import httpx2
import pytest

from hub import outside


@pytest.fixture
def here(tmp_path):
    """The address of somebody on this machine who answers."""
    (tmp_path / "index.html").write_text("here")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()


async def asked(url):
    async with outside.client(5) as client:
        return (await client.get(url)).text


@pytest.mark.parametrize(
    ("name", "proxy"),
    [("http_proxy", "http://127.0.0.1:1"), ("ALL_PROXY", "socks5h://127.0.0.1:1"), ("http_proxy", "garbage://x")],
)
def test_a_proxy_is_not_asked_for_what_is_on_this_machine(here, monkeypatch, caplog, name, proxy):
    monkeypatch.setenv(name, proxy)
    assert asyncio.run(asked(here)) == "here"
    assert bool(caplog.records) == (not proxy.startswith("http"))
    checks = outside.ways().get("verify")
    assert (checks is None) == proxy.startswith("http")
    assert checks is None or checks.verify_mode == ssl.CERT_REQUIRED


def test_others_are_asked_through_the_proxy(here, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(httpx2.ConnectError):
        asyncio.run(asked("http://witness.invalid/"))
    monkeypatch.setenv("http_proxy", here)
    with pytest.raises(httpx2.HTTPStatusError, match="404"):
        asyncio.run(_through("http://witness.invalid/path"))


async def _through(url):
    async with outside.client(5) as client:
        (await client.get(url)).raise_for_status()
