"""A door in front of a local server: it lets connections through, shuts, or holds them without a word."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Literal

State = Literal["open", "shut", "silent"]


class Gate:
    """Listens on a port of its own and forwards to another, while it is open."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._state: State = "open"
        self._through = threading.Event()
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._listen, args=(self._listener,), daemon=True).start()
        self._through.set()

    def open(self) -> None:
        """Let everything through, what was held back as well."""
        if self._state == "shut":
            self._listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._listen, args=(self._listener,), daemon=True).start()
        self._state = "open"
        self._through.set()

    def shut(self) -> None:
        """Cut every connection and refuse new ones, as a server does that is gone."""
        self._state = "shut"
        self._through.set()
        _end(self._listener)
        self.cut()

    def hush(self) -> None:
        """Take connections and bytes, and pass nothing on."""
        self._state = "silent"
        self._through.clear()

    def hold(self) -> None:
        """Pass nothing more on for the connections there are; new ones go through."""
        self._through.clear()
        self._through = threading.Event()
        self._through.set()

    def cut(self) -> None:
        """End every connection there is."""
        with self._lock:
            left, self._sockets = self._sockets, []
        for end in left:
            _end(end)

    close = shut

    def _listen(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            with self._lock:
                self._sockets += [client, server]
            for source, sink in ((client, server), (server, client)):
                args = (source, sink, self._through)
                threading.Thread(target=self._forward, args=args, daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, through: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                through.wait()
                sink.sendall(data)
        _end(source)
        _end(sink)


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
