"""Qdrant and Chroma that go, hang, refuse, lose their collection or die with a process: nothing acknowledged is lost.

The servers stand behind a gate that can shut and fall silent: Qdrant's is the local one of these tests, Chroma's the vendor's.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from memkit import Memory
from memkit.errors import BackendError
from memkit.vector_stores.qdrant import QdrantStore
from tests.chroma_server import chroma_server
from tests.faults.index_faults import IndexFaults, IndexWriters
from tests.gate import Gate
from tests.qdrant_grpc import QdrantGrpc
from tests.qdrant_server import QdrantServer

pytestmark = pytest.mark.engine
QDRANT = "memkit.vector_stores.qdrant:QdrantStore"
CHROMA = "memkit.vector_stores.chroma:ChromaStore"


class Gated(IndexFaults):
    """A server behind a gate."""

    gate: ClassVar[Gate]

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": self.gate.port, "timeout_s": 20, "patience_s": 60, **more}

    def stop(self) -> None:
        self.gate.shut()

    def start(self) -> None:
        self.gate.open()

    def pause(self) -> None:
        self.gate.hush()

    def resume(self) -> None:
        self.gate.open()


class Qdrant(Gated):
    target = QDRANT

    def settings(self, **more: Any) -> dict[str, Any]:
        return super().settings(**{"api_key": "right", "https": False, **more})

    def wrong_password(self) -> dict[str, Any]:
        return self.settings(api_key="wr0ng")


class TestQdrantServerFaults(Qdrant, IndexWriters):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls) -> Generator[None]:
        with QdrantServer(api_key="right") as server, closing(Gate(server.port)) as cls.gate:
            yield


class TestQdrantGrpcFaults(Qdrant):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls) -> Generator[None]:
        owner = QdrantServer(api_key="right")
        with closing(owner.engine), QdrantGrpc(owner) as server, closing(Gate(server.port)) as cls.gate:
            yield

    def settings(self, **more: Any) -> dict[str, Any]:
        return super().settings(**{"grpc": True, "grpc_port": self.gate.port, **more})


class _Denies(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b'{"status": {"error": "Must provide an API key"}, "error": "Unauthorized"}'
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_GET


class TestChromaServerFaults(Gated, IndexWriters):
    target = CHROMA
    denies: ClassVar[ThreadingHTTPServer]
    """The vendor's server asks for no key; this one refuses each."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
        cls.denies = ThreadingHTTPServer(("127.0.0.1", 0), _Denies)
        Thread(target=cls.denies.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        folder = tmp_path_factory.mktemp("chroma-server")
        with closing(cls.denies.socket), chroma_server(folder) as port, closing(Gate(port)) as cls.gate:
            yield
            cls.denies.shutdown()

    def wrong_password(self) -> dict[str, Any]:
        return self.settings(api_key="wr0ng", port=self.denies.server_address[1])


class Folder(IndexWriters):
    """A folder of this machine."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "index"

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"path": str(self.folder), **more}


class TestQdrantFolderFaults(Folder):
    target = QDRANT


class TestChromaFolderFaults(Folder):
    target = CHROMA


def test_a_folder_of_qdrant_that_another_process_has_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    given = {"provider": "qdrant", "config": {"path": str(tmp_path / "index")}}
    store = QdrantStore(QdrantStore.Settings(path=tmp_path / "index"))
    code = (
        "import sys; from qdrant_client import QdrantClient\n"
        "client = QdrantClient(path=sys.argv[1]); print('here', flush=True); sys.stdin.read(); client.close()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "index")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None and holder.stdout.readline() == "here\n"
    with Memory(tmp_path / "s", vector_store=given, embedder="hash", llm=None) as memory:
        assert memory.add("number 1", user_id="u", infer=False).pending == ["qdrant"]
        began = time.monotonic()
        with pytest.raises(BackendError, match="another process") as caught:
            store.count()
        assert time.monotonic() - began < 5, "it is not waited for without end"
        assert caught.value.retryable and "`url`" in str(caught.value)
        holder.communicate("")
        assert memory.add("number 2", user_id="u", infer=False).pending == []
        assert store.count() == 2
    store.close()
