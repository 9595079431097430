"""The gRPC side of the Qdrant server for tests: the vendor's own stubs and conversions over the same engine.

Messages, services and their conversion to what the engine takes are the vendor's. What is played is what stands in no
stub: the statuses of errors, and that a key is asked for in the metadata of each call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, Self

import grpc
from qdrant_client import grpc as wire
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.grpc.collections_service_pb2_grpc import (
    CollectionsServicer,
    add_CollectionsServicer_to_server,
)
from qdrant_client.grpc.points_service_pb2_grpc import PointsServicer, add_PointsServicer_to_server

from tests.qdrant_server import QdrantServer, Refused, nearest, write

Status = grpc.StatusCode
_STATUSES: Final = {400: Status.INVALID_ARGUMENT, 404: Status.NOT_FOUND, 409: Status.ALREADY_EXISTS}
_WORKERS: Final = 16


class QdrantGrpc:
    """A context manager around a gRPC server on a free port of this machine, beside a server's REST interface."""

    def __init__(self, owner: QdrantServer) -> None:
        self.owner = owner
        self.port = 0
        self.calls: list[str] = []
        """The name of each call, in order."""
        self.fault: tuple[grpc.StatusCode, str] | None = None
        """Status and reason of every answer, while it is set."""
        self._server: grpc.Server | None = None

    def start(self) -> None:
        """Answer, at the port of before where there was one."""
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        server = grpc.server(
            ThreadPoolExecutor(_WORKERS, thread_name_prefix="qdrant-grpc"),
            options=[*unlimited, ("grpc.so_reuseport", 0)],
        )
        add_PointsServicer_to_server(_Points(self), server)
        add_CollectionsServicer_to_server(_Collections(self), server)
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        server.start()
        self._server = server

    def stop(self) -> None:
        """Refuse connections until it is started again."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.owner.delay_s = 0.0
        self.owner.gate.set()
        self.stop()

    def answer(
        self, request: Any, context: grpc.ServicerContext, run: Callable[[str], Any], *, new: bool = False
    ) -> Any:
        """Return what a call is answered with, or end it with a status."""
        self.calls.append(type(request).__name__)
        time.sleep(self.owner.delay_s)
        self.owner.gate.wait(60)
        if self.fault is not None:
            if self.fault[0] is Status.RESOURCE_EXHAUSTED:
                context.set_trailing_metadata((("retry-after", "3"),))
            context.abort(*self.fault)
        if (
            self.owner.api_key is not None
            and ("api-key", self.owner.api_key) not in context.invocation_metadata()
        ):
            context.abort(Status.UNAUTHENTICATED, "Must provide an API key or an Authorization bearer token")
        name = getattr(request, "collection_name", "")
        with self.owner.lock:
            try:
                if name and not new and not self.owner.engine.collection_exists(name):
                    raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
                return run(name)
            except Refused as refused:
                refusal = _STATUSES[refused.status], refused.reason
            except ValueError as error:
                refusal = Status.INVALID_ARGUMENT, f"Wrong input: {error}"
        return context.abort(*refusal)


class _Collections(CollectionsServicer):
    def __init__(self, owner: QdrantGrpc) -> None:
        self._answer, self._rest = owner.answer, owner.owner

    def Get(self, request: Any, context: Any) -> Any:
        def run(name: str) -> Any:
            found = self._rest.engine.get_collection(name)
            info = wire.CollectionInfo(
                status=RestToGrpc.convert_collection_status(found.status),
                optimizer_status=wire.OptimizerStatus(ok=True),
                config=RestToGrpc.convert_collection_config(found.config),
                segments_count=found.segments_count,
            )
            return wire.GetCollectionInfoResponse(result=info)

        return self._answer(request, context, run)

    def List(self, request: Any, context: Any) -> Any:
        def run(_: str) -> Any:
            found = self._rest.engine.get_collections().collections
            return wire.ListCollectionsResponse(
                collections=[RestToGrpc.convert_collection_description(each) for each in found]
            )

        return self._answer(request, context, run)

    def Create(self, request: Any, context: Any) -> Any:
        def run(name: str) -> Any:
            if self._rest.engine.collection_exists(name):
                raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
            made = self._rest.engine.create_collection(
                name,
                vectors_config=GrpcToRest.convert_vectors_config(request.vectors_config),
                metadata=GrpcToRest.convert_payload(request.metadata) or None,
            )
            return wire.CollectionOperationResponse(result=made)

        return self._answer(request, context, run, new=True)

    def Update(self, request: Any, context: Any) -> Any:
        def run(name: str) -> Any:
            self._rest.engine.update_collection(name, metadata=GrpcToRest.convert_payload(request.metadata))
            return wire.CollectionOperationResponse(result=True)

        return self._answer(request, context, run)

    def Delete(self, request: Any, context: Any) -> Any:
        def run(name: str) -> Any:
            return wire.CollectionOperationResponse(result=self._rest.engine.delete_collection(name))

        return self._answer(request, context, run, new=True)


class _Points(PointsServicer):
    def __init__(self, owner: QdrantGrpc) -> None:
        self._answer, self._rest = owner.answer, owner.owner

    def Upsert(self, request: Any, context: Any) -> Any:
        def run(name: str) -> Any:
            write(self._rest, name, [GrpcToRest.convert_point_struct(point) for point in request.points])
            return _done()

        return self._answer(request, context, run)

    def Delete(self, request: Any, context: Any) -> Any:
        def run(name: str) -> Any:
            self._rest.engine.delete(name, GrpcToRest.convert_points_selector(request.points))
            return _done()

        return self._answer(request, context, run)

    def Get(self, request: Any, context: Any) -> Any:
        def run(name: str) -> Any:
            found = self._rest.engine.retrieve(
                name,
                [GrpcToRest.convert_point_id(id) for id in request.ids],
                with_payload=GrpcToRest.convert_with_payload_selector(request.with_payload),
                with_vectors=GrpcToRest.convert_with_vectors_selector(request.with_vectors),
            )
            return wire.GetResponse(result=[RestToGrpc.convert_retrieved_point(point) for point in found])

        return self._answer(request, context, run)

    def Query(self, request: Any, context: Any) -> Any:
        def run(name: str) -> Any:
            found = nearest(self._rest, name, GrpcToRest.convert_query_points(request))
            return wire.QueryResponse(
                result=[RestToGrpc.convert_scored_point(point) for point in found.points]
            )

        return self._answer(request, context, run)

    def Scroll(self, request: Any, context: Any) -> Any:
        def run(name: str) -> Any:
            points, after = self._rest.engine.scroll(
                name,
                scroll_filter=GrpcToRest.convert_filter(request.filter)
                if request.HasField("filter")
                else None,
                limit=request.limit,
                offset=GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None,
                with_payload=GrpcToRest.convert_with_payload_selector(request.with_payload),
                with_vectors=GrpcToRest.convert_with_vectors_selector(request.with_vectors),
            )
            return wire.ScrollResponse(
                result=[RestToGrpc.convert_retrieved_point(point) for point in points],
                next_page_offset=None if after is None else RestToGrpc.convert_extended_point_id(after),
            )

        return self._answer(request, context, run)

    def Count(self, request: Any, context: Any) -> Any:
        def run(name: str) -> Any:
            where = GrpcToRest.convert_filter(request.filter) if request.HasField("filter") else None
            found = self._rest.engine.count(name, count_filter=where, exact=request.exact)
            return wire.CountResponse(result=wire.CountResult(count=found.count))

        return self._answer(request, context, run)

    def CreateFieldIndex(self, request: Any, context: Any) -> Any:
        def run(name: str) -> Any:
            self._rest.indexes.setdefault(name, []).append(request.field_name)
            return _done()

        return self._answer(request, context, run)


def _done() -> Any:
    return wire.PointsOperationResponse(
        result=wire.UpdateResult(operation_id=0, status=wire.UpdateStatus.Completed)
    )
