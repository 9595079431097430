"""The network brake: while it is on, this process can talk to this machine alone."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock

from memkit.errors import MemkitError

__all__ = ["NetworkBlockedError", "block_network"]

_INTERNET = (socket.AF_INET, socket.AF_INET6)
_CONNECTING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_RESOLVING = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})

_lock = Lock()
_depth = 0
_hooked = False


class NetworkBlockedError(MemkitError, RuntimeError):
    """Code under `block_network()` tried to leave this machine.

    It is no `OSError`, so that no client takes it for a failed connection and tries again.

    Attributes:
        host: The name or address that was asked for.
    """

    host: str = ""


@contextmanager
def block_network() -> Generator[None]:
    """Refuse every connection and name lookup of this process that is not loopback or a Unix socket.

    It may be nested and holds for all threads. It sees what Python's `socket` module does: a library that
    opens sockets in native code of its own, and child processes, go unseen.

    Raises:
        NetworkBlockedError: In the code that tried, at the moment it tried.
    """
    global _depth, _hooked
    with _lock:
        if not _hooked:
            # An audit hook sees the C calls themselves, whatever wraps them; it cannot be removed, only idle.
            sys.addaudithook(_audit)
            _hooked = True
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1


def _audit(event: str, args: tuple[object, ...]) -> None:
    if not _depth or not event.startswith("socket."):
        return
    if event in _CONNECTING:
        sock, address = args[0], args[1]
        if isinstance(sock, socket.SocketType) and sock.family in _INTERNET and isinstance(address, tuple):
            _check(str(address[0]))  # pyright: ignore[reportUnknownArgumentType]  an address tuple holds anything
    elif event in _RESOLVING and args[0] is not None:
        host = args[0]
        _check(host.decode("ascii", "replace") if isinstance(host, bytes) else str(host), lookup=True)


def _check(host: str, *, lookup: bool = False) -> None:
    if not _is_local(host, lookup=lookup):
        raise NetworkBlockedError(
            f"The network is blocked here, and something asked for {host!r}. Use a server on 127.0.0.1 or "
            "a fake from memkit.testing; outside tests, leave `block_network()`.",
            host=host,
        )


def _is_local(host: str, *, lookup: bool) -> bool:
    name = host.partition("%")[0].rstrip(".").lower()
    if name in {"", "localhost", "ip6-localhost"} or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        # This machine's own name is looked up by servers that print where they listen.
        return lookup and name == socket.gethostname().lower()
    # Reading an address needs no network; connecting to it does. The unspecified address means this machine.
    return lookup or address.is_loopback or address.is_unspecified
