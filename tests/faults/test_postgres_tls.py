"""TLS towards PostgreSQL, with an authority made for the test: who is not trusted gets neither a password nor a memory.

The server of the wheel knows no TLS, so that a line of the test's own ends it before the real server; libpq's side, on
which the checks are, is the real one.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError
from tests.postgres import PASSWORD, QUOTED, PostgresServer

x509 = pytest.importorskip("cryptography.x509")

pytestmark = pytest.mark.engine

_ASKS_FOR_TLS: Final = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""The first message of a client that wants TLS. Source: SSLRequest in the documentation of PostgreSQL's protocol."""


@dataclass(frozen=True)
class Authority:
    """One that signs certificates, with its own in a file."""

    key: Any
    name: Any
    file: Path

    def server(self, folder: Path, *names: str) -> ssl.SSLContext:
        """What a server of these names and addresses shows."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        alternatives = [_alternative(name) for name in names]
        signed = _signed(
            subject, self.name, key.public_key(), self.key, x509.SubjectAlternativeName(alternatives)
        )
        file = folder / f"{names[0]}.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def authority(folder: Path, called: str) -> Authority:
    """Make one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, called)])
    own = _signed(name, name, key.public_key(), key, x509.BasicConstraints(ca=True, path_length=None))
    file = folder / f"{called}.crt"
    file.write_bytes(own.public_bytes(serialization.Encoding.PEM))
    return Authority(key, name, file)


def _signed(subject: Any, issuer: Any, public: Any, key: Any, extension: Any) -> Any:
    from cryptography.hazmat.primitives import hashes

    # From long ago to far ahead: a clock that is wrong is not what is tried here.
    begin, end = datetime.datetime(2001, 1, 1), datetime.datetime(2049, 1, 1)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
    return builder.add_extension(extension, critical=False).sign(key, hashes.SHA256())


def _alternative(name: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Front:
    """Speaks TLS with clients, and passes what they say on to the server."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        self._context, self._target = context, port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.trusted = 0
        """Clients that went on after they had seen the certificate."""
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._server.accept()
                thread = threading.Thread(target=self._serve, args=(plain,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket) -> None:
        self._sockets.append(plain)
        with suppress(OSError):
            if plain.recv(8) != _ASKS_FOR_TLS:
                plain.close()
                return
            plain.sendall(b"S")
            near = self._context.wrap_socket(plain, server_side=True)
            self._sockets.append(near)
            first = near.recv(65536)
            if not first:
                return
            self.trusted += 1
            far = socket.create_connection(("127.0.0.1", self._target))
            self._sockets.append(far)
            far.sendall(first)
            thread = threading.Thread(target=self._pass, args=(far, near), daemon=True)
            self._threads.append(thread)
            thread.start()
            self._pass(near, far)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for end in self._sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in self._sockets:
            end.close()


@contextmanager
def fronted(server: PostgresServer, context: ssl.SSLContext) -> Generator[Front]:
    front = Front(context, server.port)
    try:
        yield front
    finally:
        front.close()


def settings(folder: Path, url: str) -> dict[str, Any]:
    return {"path": folder, "llm": None, "embedder": "hash", "ledger": url}


def url_of(database: str, port: int, options: str, host: str = "localhost") -> str:
    return f"postgresql://memkit:{QUOTED}@{host}:{port}/{database.rpartition('/')[2]}?{options}"


async def test_a_server_whose_authority_is_named_is_trusted(
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    ours = authority(tmp_path, "ours")
    with fronted(postgres, ours.server(tmp_path, "localhost", "127.0.0.1")) as front:
        for host in ("localhost", "127.0.0.1"):
            url = url_of(fresh_postgres, front.port, f"sslmode=verify-full&sslrootcert={ours.file}", host)
            with Memory(**settings(tmp_path, url)) as memory:
                memory.add(f"Ana keeps bees at {host}", user_id="ana")
            async with AsyncMemory(**settings(tmp_path, url)) as awaited:
                found = await awaited.search(f"bees at {host}", user_id="ana")
                assert found.results[0].memory == f"Ana keeps bees at {host}"
        assert front.trusted >= 4


@pytest.mark.parametrize(
    ("names", "signed_by", "options"),
    [
        (("localhost",), "others", "sslmode=verify-full&sslrootcert={ours}"),
        (("localhost",), "others", "sslmode=verify-ca&sslrootcert={ours}"),
        (("db.example.org",), "ours", "sslmode=verify-full&sslrootcert={ours}"),
        (("localhost",), "ours", "sslmode=verify-full&sslrootcert=/no/such/file.crt"),
        (("localhost",), "ours", "sslmode=verify-full&sslrootcert=system"),
    ],
    ids=[
        "another authority",
        "another authority, any name",
        "another name",
        "no file",
        "unknown to the system",
    ],
)
def test_a_server_that_is_not_trusted_is_told_nothing(
    names: tuple[str, ...], signed_by: str, options: str,
    postgres: PostgresServer, fresh_postgres: str, tmp_path: Path,
) -> None:  # fmt: skip
    known = {called: authority(tmp_path, called) for called in ("ours", "others")}
    with fronted(postgres, known[signed_by].server(tmp_path, *names)) as front:
        url = url_of(fresh_postgres, front.port, options.format(ours=known["ours"].file))
        with Memory(**settings(tmp_path, url)) as memory:
            with pytest.raises(ConfigurationError, match="sslrootcert") as caught:
                memory.add("Ana keeps bees", user_id="ana")
            assert "sslrootcert" in memory.health().problems["ledger"]
        assert front.trusted == 0
        assert PASSWORD not in str(caught.value) and QUOTED not in str(caught.value)


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_a_server_without_tls_is_refused_where_tls_is_asked_for(
    mode: str, postgres: PostgresServer, fresh_postgres: str, tmp_path: Path
) -> None:
    ours = authority(tmp_path, "ours")
    url = url_of(fresh_postgres, postgres.port, f"sslmode={mode}&sslrootcert={ours.file}")
    with (
        Memory(**settings(tmp_path, url)) as memory,
        pytest.raises(ConfigurationError, match="not support SSL"),
    ):
        memory.add("Ana keeps bees", user_id="ana")
