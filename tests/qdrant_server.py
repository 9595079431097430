"""A Qdrant server for tests: the vendor's REST shapes over a real socket, the vendor's own local engine behind them.

No binary of the server can be had from a package index. So requests are read with the models that the vendor's client
writes them with, run by its local mode, and answered in the documented envelope, errors included. What only the
server has is played here: keys, statuses, a limit on the size of a request, and slow or failing answers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, RLock, Thread
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ValidationError
from qdrant_client import QdrantClient
from qdrant_client.http import models

M = TypeVar("M", bound=BaseModel)
MAX_BYTES: Final = 32 * 1024 * 1024
VERSION: Final = "1.16.0"


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class QdrantServer:
    """A context manager around a server on a free port of this machine; data outlives `stop` and `start`.

    Args:
        api_key: The only key it takes; None takes any.
        keeps_metadata: False plays a server before 1.16, which ignores the metadata of collections.
    """

    def __init__(self, *, api_key: str | None = None, keeps_metadata: bool = True) -> None:
        self.api_key, self.keeps_metadata = api_key, keeps_metadata
        self.engine = QdrantClient(":memory:", force_disable_check_same_thread=True)
        """The engine itself, for what somebody else does to the data."""
        self.lock = RLock()
        self.delay_s = 0.0
        """Seconds before each answer."""
        self.gate = Event()
        """Answers wait while it is not set."""
        self.gate.set()
        self.fault: tuple[int, str] | None = None
        """Status and reason of every answer, while it is set."""
        self.requests: list[str] = []
        """Method and path of each request, in order."""
        self.indexes: dict[str, list[str]] = {}
        """Fields of each collection that an index was asked for."""
        self.port = 0
        self._http: ThreadingHTTPServer | None = None
        self._thread: Thread | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Answer, at the port of before where there was one."""
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = _Server(("127.0.0.1", self.port), handler)
        self.port = self._http.server_address[1]
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections until it is started again."""
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()
            self._http = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.delay_s = 0.0
        self.gate.set()
        self.stop()
        self.engine.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


class _Handler(BaseHTTPRequestHandler):
    owner: QdrantServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._answer()

    do_PUT = do_POST = do_PATCH = do_DELETE = do_GET

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.owner.requests.append(f"{self.command} {path}")
        time.sleep(self.owner.delay_s)
        self.owner.gate.wait(60)
        began = time.perf_counter()
        try:
            if self.owner.fault is not None:
                raise Refused(*self.owner.fault)
            self._check(raw)
            body: Any = {"result": self._run(path, raw), "status": "ok"}
            status = 200
        except Refused as refused:
            status, body = refused.status, {"status": {"error": refused.reason}}
        data = json.dumps(body | {"time": time.perf_counter() - began}).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", "3")
            self.end_headers()
            self.wfile.write(data)
        except ConnectionError:
            pass  # Who asked has not waited.

    def _check(self, raw: bytes) -> None:
        if len(raw) > MAX_BYTES:
            raise Refused(413, f"Payload error: JSON payload ({len(raw)} bytes) is larger than allowed")
        if self.owner.api_key is not None and self.headers.get("api-key") != self.owner.api_key:
            raise Refused(401, "Must provide an API key or an Authorization bearer token")

    def _run(self, path: str, raw: bytes) -> Any:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts[:1] != ["collections"] or len(parts) > 4:
            raise Refused(404, f"Unknown path {path}")
        route = (self.command, *parts[2:3], *parts[3:4]) if len(parts) > 1 else (self.command,)
        with self.owner.lock:
            try:
                if len(parts) == 1:
                    return _json(self.owner.engine.get_collections())
                name = parts[1]
                if route[0] == "PUT" and len(route) == 1:
                    return self._create(name, _body(models.CreateCollection, raw))
                if not self.owner.engine.collection_exists(name):
                    if route == ("DELETE",):
                        return False
                    raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
                if len(route) == 1:
                    return self._collection(name, raw)
                return _POINTS[route](self.owner, name, raw)
            except KeyError as error:
                raise Refused(404, f"Unknown route {error}") from error
            except ValueError as error:
                raise Refused(400, f"Wrong input: {error}") from error

    def _create(self, name: str, asked: models.CreateCollection) -> bool:
        if self.owner.engine.collection_exists(name):
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        return self.owner.engine.create_collection(
            name,
            vectors_config=asked.vectors,
            sparse_vectors_config=asked.sparse_vectors,
            metadata=asked.metadata if self.owner.keeps_metadata else None,
        )

    def _collection(self, name: str, raw: bytes) -> Any:
        if self.command == "GET":
            found = _json(self.owner.engine.get_collection(name))
            # The server's own counts are estimates, and unknown for a moment after a write.
            return found | {"points_count": None}
        if self.command == "DELETE":
            return self.owner.engine.delete_collection(name)
        asked = _body(models.UpdateCollection, raw)
        if self.owner.keeps_metadata:
            self.owner.engine.update_collection(name, metadata=asked.metadata)
        return True


def _index(owner: QdrantServer, name: str, raw: bytes) -> Any:
    owner.indexes.setdefault(name, []).append(_body(models.CreateFieldIndex, raw).field_name)
    return _DONE


def _upsert(owner: QdrantServer, name: str, raw: bytes) -> Any:
    write(owner, name, _body(models.PointsList, raw).points)
    return _DONE


def write(owner: QdrantServer, name: str, points: list[models.PointStruct]) -> None:
    """Write points, refused where the server refuses and the vendor's local mode does not, or says less of it."""
    config = owner.engine.get_collection(name).config.params.vectors
    for point in points:
        if isinstance(point.id, str) and len(point.id) not in (32, 36):
            raise Refused(400, f"Format error in JSON body: value {point.id} is not a valid point ID")
        if isinstance(config, models.VectorParams) and len(point.vector) != config.size:  # type: ignore[arg-type]  # a list here
            raise ValueError(f"Vector dimension error: expected dim: {config.size}, got {len(point.vector)}")  # type: ignore[arg-type]
    owner.engine.upsert(name, points)


def _delete(owner: QdrantServer, name: str, raw: bytes) -> Any:
    try:
        owner.engine.delete(name, _body(models.PointIdsList, raw))
    except Refused:
        owner.engine.delete(name, _body(models.FilterSelector, raw))
    return _DONE


def _retrieve(owner: QdrantServer, name: str, raw: bytes) -> Any:
    asked = _body(models.PointRequest, raw)
    found = owner.engine.retrieve(
        name, asked.ids, with_payload=asked.with_payload, with_vectors=asked.with_vector or False
    )
    return [_json(point) for point in found]


def _query(owner: QdrantServer, name: str, raw: bytes) -> Any:
    return _json(nearest(owner, name, _body(models.QueryRequest, raw)))


def nearest(owner: QdrantServer, name: str, asked: models.QueryRequest) -> models.QueryResponse:
    """Return the nearest points to a vector, of the right dimension."""
    query = asked.query.nearest if isinstance(asked.query, models.NearestQuery) else asked.query
    config = owner.engine.get_collection(name).config.params.vectors
    if isinstance(config, models.VectorParams) and isinstance(query, list) and len(query) != config.size:
        raise ValueError(f"Vector dimension error: expected dim: {config.size}, got {len(query)}")
    return owner.engine.query_points(
        name,
        query=query,
        query_filter=asked.filter,
        limit=asked.limit or 10,
        offset=asked.offset,
        with_payload=asked.with_payload or False,
        with_vectors=asked.with_vector or False,
    )


def _scroll(owner: QdrantServer, name: str, raw: bytes) -> Any:
    asked = _body(models.ScrollRequest, raw)
    points, offset = owner.engine.scroll(
        name,
        scroll_filter=asked.filter,
        limit=asked.limit or 10,
        offset=asked.offset,
        with_payload=True if asked.with_payload is None else asked.with_payload,
        with_vectors=asked.with_vector or False,
    )
    return {"points": [_json(point) for point in points], "next_page_offset": offset}


def _count(owner: QdrantServer, name: str, raw: bytes) -> Any:
    asked = _body(models.CountRequest, raw)
    return _json(owner.engine.count(name, count_filter=asked.filter, exact=True))


_DONE: Final = {"operation_id": 0, "status": "completed"}
_POINTS: Final[Mapping[tuple[str, ...], Callable[[QdrantServer, str, bytes], Any]]] = {
    ("GET", "exists"): lambda owner, name, raw: {"exists": True},
    ("PUT", "index"): _index,
    ("PUT", "points"): _upsert,
    ("POST", "points"): _retrieve,
    ("POST", "points", "delete"): _delete,
    ("POST", "points", "query"): _query,
    ("POST", "points", "scroll"): _scroll,
    ("POST", "points", "count"): _count,
}


def _body(kind: type[M], raw: bytes) -> M:
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise Refused(400, f"Format error in JSON body: {error.errors()[0]['msg']}") from error


def _json(value: BaseModel) -> Any:
    return value.model_dump(mode="json")
