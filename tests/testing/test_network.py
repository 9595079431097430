from __future__ import annotations

import asyncio
import pickle
import socket
import threading
from pathlib import Path

import pytest

from memkit.testing.network import NetworkBlockedError, block_network

OUTSIDE = "192.0.2.1"  # reserved for documentation: it never answers


def test_a_connection_to_another_machine_is_refused() -> None:
    with socket.socket() as sock:
        for connect in (sock.connect, sock.connect_ex):
            with pytest.raises(NetworkBlockedError, match=r"192\.0\.2\.1.*127\.0\.0\.1") as caught:
                connect((OUTSIDE, 9))
            assert caught.value.host == OUTSIDE


def test_a_datagram_to_another_machine_is_refused() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(NetworkBlockedError):
        sock.sendto(b"x", (OUTSIDE, 9))


def test_a_name_lookup_is_refused() -> None:
    with pytest.raises(NetworkBlockedError, match=r"example\.invalid"):
        socket.getaddrinfo("example.invalid", 80)
    with pytest.raises(NetworkBlockedError, match=r"example\.invalid"):
        socket.gethostbyname("example.invalid")


async def test_an_event_loop_is_refused_too() -> None:
    for host in (OUTSIDE, "example.invalid"):
        with pytest.raises(NetworkBlockedError):
            await asyncio.open_connection(host, 9)


def test_another_thread_is_refused_too() -> None:
    caught: list[BaseException] = []

    def try_it() -> None:
        try:
            with socket.socket() as sock:
                sock.connect((OUTSIDE, 9))
        except NetworkBlockedError as error:
            caught.append(error)

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    assert len(caught) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_open(host: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection((host, server.getsockname()[1]), timeout=5) as client,
        server.accept()[0] as peer,
    ):
        client.sendall(b"ok")
        assert peer.recv(2) == b"ok"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this platform has no Unix sockets")
def test_unix_sockets_are_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # such a path holds about 100 characters
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("s")
        server.listen()
        client.connect("s")


def test_the_brake_is_released_where_the_outermost_block_ends() -> None:
    from memkit.testing import network

    outside = network._depth
    with block_network(), block_network():
        assert network._depth == outside + 2
    assert network._depth == outside


def test_the_error_crosses_process_borders() -> None:
    with socket.socket() as sock, pytest.raises(NetworkBlockedError) as caught:
        sock.connect((OUTSIDE, 9))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.host) == (NetworkBlockedError, str(caught.value), OUTSIDE)
