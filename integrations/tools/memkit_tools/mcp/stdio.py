"""MCP over standard input and output, without the SDK.

Importing the SDK takes longer than clients wait for the first list of tools, and one client that sends one line per
message needs little of it. The lines are answered in order by the sync memory: a call takes milliseconds.

https://modelcontextprotocol.io/specification has the messages. Clients of 2026-07-28 send the version with each
request, those before it shake hands first; both are served.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn, cast

from .offer import INSTRUCTIONS, INTERNAL_ERROR, INVALID_PARAMS, LISTS, SERVER, Json, ProtocolError

if TYPE_CHECKING:
    from memkit import Memory

    from ..awaited import AwaitedMemory
    from ..spec import Mode
    from .surface import Surface

log: Final = logging.getLogger("memkit_tools")

HANDSHAKES: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN: Final = "2026-07-28"

_VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
_SERVER_KEY: Final = "io.modelcontextprotocol/serverInfo"
_CAPABILITIES: Final[Json] = {"tools": {}, "resources": {}, "prompts": {}}
_PARSE_ERROR: Final = -32700
_INVALID_REQUEST: Final = -32600
_ENDLESS: Final = (float("inf"), float("-inf"))
_UNSUPPORTED_VERSION: Final = -32022


class Peer:
    """One client's end of a conversation: a line in, a line or nothing out.

    Args:
        mode: Which tools are offered.
        memory: Opens the memory, at the first request that needs it.
    """

    def __init__(self, mode: Mode, memory: Callable[[], Memory]) -> None:
        self._mode: Mode = mode
        self._open = memory
        self._surface: Surface | None = None
        self._opened: AwaitedMemory | None = None

    def receive(self, line: bytes) -> bytes | None:
        """Return the answer to a line; None where none is due."""
        try:
            message: object = json.loads(line, parse_constant=_no_json)
        except (ValueError, RecursionError):
            return _line(_error(None, _PARSE_ERROR, "This line is not JSON."))
        # 2025-03-26 had batches.
        batch = cast("list[object]", message) if isinstance(message, list) else []
        if not batch:
            answer = self._answer(cast("object", message))
            return None if answer is None else _line(answer)
        answers = [self._answer(one) for one in batch]
        kept = [answer for answer in answers if answer is not None]
        return _line(kept) if kept else None

    def _answer(self, message: object) -> Json | None:
        if not isinstance(message, dict):
            return _error(None, _INVALID_REQUEST, "A message is one JSON object.")
        given = cast("Json", message)
        method, number = given.get("method"), given.get("id")
        if "result" in given or "error" in given or (number is None and isinstance(method, str)):
            return None  # the answer to a request that was never sent, or a notification
        if not _is_number(number):
            return _error(None, _INVALID_REQUEST, "`id` is a text or a number.")
        if not isinstance(method, str):
            return _error(number, _INVALID_REQUEST, "`method` is a text.")
        params = given.get("params")
        if params is None:
            params = {}
        if not isinstance(params, dict):
            return _error(number, INVALID_PARAMS, "`params` is an object.")
        try:
            return {"jsonrpc": "2.0", "id": number, "result": self._result(method, cast("Json", params))}
        except ProtocolError as error:
            return _error(number, error.code, str(error), error.data)
        except Exception:  # one request that meets a bug must not end the others
            log.exception("memkit: %s failed", method)
            return _error(number, INTERNAL_ERROR, "Internal error")

    def _result(self, method: str, params: Json) -> Json:
        if method == "initialize":
            return _handshake(params)
        version = _version_of(params)
        if version not in (None, MODERN):
            supported = {"supported": [*HANDSHAKES, MODERN], "requested": version}
            raise ProtocolError(_UNSUPPORTED_VERSION, f"Version {version} is not served.", supported)
        if method == "ping":
            result: Json = {}
        elif method == "server/discover" and version is not None:
            result = _discovery()
        elif method in LISTS:
            result = LISTS[method](self._mode)
        else:
            result = self._answered(method, params)
        return result if version is None else _enveloped(method, result)

    def _answered(self, method: str, params: Json) -> Json:
        from memkit.runtime import run_inline

        if self._surface is None:
            from .surface import Surface

            self._surface = Surface(self._mode)
        return run_inline(self._surface.answer(method, params, self._memory))

    def _memory(self) -> AwaitedMemory:
        if self._opened is None:
            from ..awaited import Inline

            self._opened = Inline(self._open())
        return self._opened


def run_stdio(mode: Mode, memory: Callable[[], Memory]) -> None:
    """Answer standard input until it ends or the process is told to; what was acknowledged is stored then.

    Standard output carries the protocol alone: whatever else is printed meanwhile goes to standard error.

    Args:
        mode: Which tools are offered.
        memory: Opens the memory, at the first request that needs it.
    """
    peer = Peer(mode, memory)
    # A client that went away without closing our input has ended the conversation, too.
    with suppress(BrokenPipeError), _wire() as (source, sink), _interruptible() as lines:
        for line in lines(source):
            answer = peer.receive(line) if line.strip() else None
            if answer is not None:
                sink.write(answer)
                sink.flush()


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON.")


def _is_number(given: object) -> bool:
    """Return whether something numbers a request, and can be written as JSON."""
    return isinstance(given, str | int | float) and not isinstance(given, bool) and given not in _ENDLESS


def _handshake(params: Mapping[str, Any]) -> Json:
    asked = params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in HANDSHAKES else HANDSHAKES[-1],
        "capabilities": _CAPABILITIES,
        "serverInfo": SERVER,
        "instructions": INSTRUCTIONS,
    }


def _discovery() -> Json:
    return {
        "supportedVersions": [MODERN],
        "capabilities": _CAPABILITIES,
        "instructions": INSTRUCTIONS,
    }


def _version_of(params: Mapping[str, Any]) -> object:
    meta = params.get("_meta")
    return cast("Json", meta).get(_VERSION_KEY) if isinstance(meta, dict) else None


def _enveloped(method: str, result: Json) -> Json:
    """Return a result as 2026-07-28 wants it: complete, from whom, and for how long it may be kept."""
    cached = {} if method in ("tools/call", "prompts/get") else {"ttlMs": 0, "cacheScope": "private"}
    return {"resultType": "complete", **cached, **result, "_meta": {_SERVER_KEY: SERVER}}


def _error(number: object, code: int, message: str, data: object = None) -> Json:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": number, "error": error}


def _line(message: object) -> bytes:
    # Escaped, because a lone surrogate that somebody sent cannot be sent back as UTF-8.
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


@contextmanager
def _wire() -> Generator[tuple[BinaryIO, BinaryIO]]:
    """Lend standard output to the protocol alone: what libraries print meanwhile goes to standard error."""
    sys.stdout.flush()
    number = os.dup(1)
    with open(number, "wb") as sink:
        os.dup2(2, 1)
        try:
            yield sys.stdin.buffer, sink
        finally:
            os.dup2(number, 1)


class _Ended(BaseException):
    """The process was told to end while it waited."""


@contextmanager
def _interruptible() -> Generator[Callable[[BinaryIO], Iterator[bytes]]]:
    """Lend a reader of lines that ends at SIGTERM and SIGINT, after the line in hand was answered."""
    waiting = ended = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ended
        del number, frame
        ended = True
        if waiting:
            raise _Ended

    def lines(source: BinaryIO) -> Iterator[bytes]:
        nonlocal waiting
        while True:
            try:
                waiting = True
                line = b"" if ended else source.readline()
                waiting = False
            except _Ended:
                return
            if not line:
                return
            yield line

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lines
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
