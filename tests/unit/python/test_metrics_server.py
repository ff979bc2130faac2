"""The page of metrics over HTTP: real sockets, with clients that behave well and badly."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from contextlib import ExitStack

import pytest
from support.patience import PATIENCE, await_true

from vmtpy import metrics_server
from vmtpy.log import Log
from vmtpy.metrics_server import MOST_CLIENTS, MOST_REQUEST, serve

PAGE = b"one 1.0\n" * 20000  # more than a socket's buffer takes at once


@pytest.fixture
def address() -> str:
    return serve("127.0.0.1:0", lambda: PAGE, Log(lambda *_: None))


def ask(address: str, path: str = "/metrics", method: str = "GET") -> tuple[int, str, bytes]:
    request = urllib.request.Request(f"http://{address}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, "", error.read()


def connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), PATIENCE)


def all_of(client: socket.socket) -> bytes:
    data = b""
    try:
        while part := client.recv(65536):
            data += part
    except ConnectionResetError:
        pass  # what it had sent was not read
    return data


def test_the_page_is_served_whole_with_its_type(address: str) -> None:
    status, kind, body = ask(address)
    assert (status, kind, body) == (200, "text/plain; version=0.0.4; charset=utf-8", PAGE)
    assert ask(address, "/")[2] == PAGE
    assert ask(address, "/metrics?name=one")[2] == PAGE
    assert ask(address, method="HEAD")[2] == b""


def test_other_paths_and_methods_are_refused(address: str) -> None:
    assert ask(address, "/etc/passwd")[0] == 404
    assert ask(address, method="POST")[0] == 405


def test_by_ipv6() -> None:
    try:
        address = serve("[::1]:0", lambda: PAGE, Log(lambda *_: None))
    except Exception as error:
        pytest.skip(f"needs IPv6 ({error})")
    assert ask(address)[2] == PAGE


def test_a_request_in_pieces_is_answered(address: str) -> None:
    with connected(address) as client:
        for part in (b"GET /met", b"rics HTTP/1.1\r\nHost: x", b"\r\n", b"\r\n"):
            client.sendall(part)
        assert all_of(client).endswith(PAGE)


@pytest.mark.parametrize("request_", [b"\x16\x03\x01\r\n\r\n", b"\r\n\r\n", b"GET\r\n\r\n"])
def test_what_is_not_http_is_refused(address: str, request_: bytes) -> None:
    with connected(address) as client:
        client.sendall(request_)
        assert all_of(client).startswith(b"HTTP/1.1 4")
    assert ask(address)[2] == PAGE


def test_a_request_without_an_end_is_hung_up_on(address: str) -> None:
    with connected(address) as client:
        client.sendall(b"GET /" + b"x" * (2 * MOST_REQUEST))
        assert all_of(client) == b""


def test_who_says_nothing_keeps_nobody_waiting_and_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with connected(address) as silent:
        assert ask(address)[2] == PAGE
        silent.shutdown(socket.SHUT_WR)
        assert all_of(silent) == b""
    monkeypatch.setattr(metrics_server, "PATIENCE", 0.05)
    with connected(address) as silent:
        assert all_of(silent) == b""


def test_too_many_at_a_time_are_hung_up_on_and_those_after_them_are_served(address: str) -> None:
    with ExitStack() as clients:
        held = [clients.enter_context(connected(address)) for _ in range(MOST_CLIENTS)]
        with connected(address) as one_more:
            assert all_of(one_more) == b""
        held[0].sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert all_of(held[0]).endswith(PAGE)

    def served() -> bool:
        try:
            return ask(address)[2] == PAGE
        except OSError:  # the last of them has not been let go yet
            return False

    await_true(served)
