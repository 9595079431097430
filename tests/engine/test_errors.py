"""Every error class comes out of the public API somewhere, says what to type next, and can be sent to another process."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from memkit import errors
from memkit.embedders.hash import HashEmbedder
from memkit.llms.fake import FakeLLM
from memkit.testing import Fault, OpenAIServer
from memkit.vector_stores.memory import MemoryStore
from tests.engine.faces import AxisEmbedder, CountingEmbedder, Face, World, answer, down

Cause = Callable[[World], Any]


def some(memory: Face) -> str:
    return memory.add("x", user_id="u", infer=False).results[0].id


def _mismatch(world: World) -> None:
    some(world.open())
    world.open(embedder=AxisEmbedder()).search("x", user_id="u")


def _idempotency(world: World) -> None:
    memory = world.open()
    memory.add("x", user_id="u", infer=False, idempotency_key="k")
    memory.add("y", user_id="u", infer=False, idempotency_key="k")


def _conflict(world: World) -> None:
    memory = world.open()
    result = memory.add("x", user_id="u", infer=False)
    memory.update(result.results[0].id, "y")
    memory.undo(result.operation_id)


def _corrupt(world: World) -> None:
    (world.folder / "bad.db").write_bytes(b"no ledger at all " * 1000)
    world.open(world.folder / "bad.db").get_all(user_id="u")


def _foreign_index(world: World) -> None:
    points: dict[str, Any] = {}
    some(world.open(vector_store=MemoryStore(client=points)))
    some(world.open(world.folder / "other", vector_store=MemoryStore(client=points)))


def _timeout(world: World) -> None:
    embedder = CountingEmbedder(errors.BackendTimeoutError("Too slow.", backend="e"))
    some(world.open(embedder=embedder))


class _Ragged(HashEmbedder):
    def embed(self, texts: Any, *, purpose: Any = "document") -> Any:
        return super().embed([*texts, "one more"], purpose=purpose)


CAUSES: dict[type[errors.MemkitError], Cause] = {
    errors.ConfigurationError: lambda w: w.open(w.folder, ledger="mysql://x"),
    errors.UnknownProviderError: lambda w: w.open(vector_store="chrome"),
    errors.ProviderNotAvailableError: lambda w: w.open(vector_store="weaviate"),
    errors.EmbedderMismatchError: _mismatch,
    errors.InvalidInputError: lambda w: w.open().add([{"role": "user"}], user_id="u"),
    errors.ScopeError: lambda w: w.open().add("x"),
    errors.UnknownArgumentError: lambda w: w.open().add("x", usr_id="u"),
    errors.FilterError: lambda w: w.open().search("x", user_id="u", filters={"user_id": "v"}),
    errors.IdempotencyError: _idempotency,
    errors.MemoryNotFoundError: lambda w: w.open().delete("nothing"),
    errors.OperationNotFoundError: lambda w: w.open().undo("nothing"),
    errors.ConflictError: _conflict,
    errors.ExtractionError: lambda w: w.open(llm=FakeLLM(["x", "x"])).add("I live in Oslo.", user_id="u"),
    errors.BackendTimeoutError: _timeout,
    errors.BackendUnavailableError: lambda w: w.open(llm=FakeLLM([down()])).add(
        "I live in Oslo.", user_id="u"
    ),
    errors.BackendResponseError: lambda w: some(w.open(embedder=_Ragged())),
    errors.BackendError: lambda w: some(w.open(embedder=CountingEmbedder(RuntimeError("bug")))),
    errors.CorruptLedgerError: _corrupt,
    errors.LedgerMismatchError: _foreign_index,
}
ELSEWHERE = {
    errors.AuthenticationError: 401,
    errors.RateLimitError: 429,
}
# Raised where an extra is missing, and where a backend lacks a capability: see the tests of the registry and the stores.
NOT_HERE = {errors.MissingDependencyError, errors.UnsupportedOperationError, errors.MemkitError}


def test_no_class_is_left_out() -> None:
    known = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.MemkitError)
    }
    assert known == {*CAUSES, *ELSEWHERE, *NOT_HERE}


@pytest.mark.parametrize("kind", list(CAUSES), ids=lambda k: k.__name__)
def test_it_is_raised_says_what_to_do_and_can_be_pickled(
    world: World, kind: type[errors.MemkitError]
) -> None:
    with pytest.raises(kind) as raised:
        CAUSES[kind](world)
    error = raised.value
    assert type(error) is kind
    check(error)


def check(error: errors.MemkitError) -> None:
    assert len(str(error)) > 5 and str(error) == error.message
    declared = {name for kind in type(error).__mro__ for name in vars(kind).get("__annotations__", {})}
    assert vars(error).keys() - declared <= {"message"}, "an attribute that no type checker knows"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and again.__dict__ == error.__dict__ and str(again) == str(error)


@pytest.fixture
def server() -> Generator[OpenAIServer]:
    with OpenAIServer([answer()]) as made:
        yield made


@pytest.mark.parametrize(
    ("kind", "status"), list(ELSEWHERE.items()), ids=lambda v: str(getattr(v, "__name__", v))
)
def test_errors_of_a_vendor_are_translated(
    world: World, server: OpenAIServer, kind: type[errors.BackendError], status: int
) -> None:
    config = {"api_key": "sk-secret-1", "base_url": server.base_url, "model": "gpt-4o-mini"}
    memory = world.open(llm={"provider": "openai", "config": config})
    server.fail(*[Fault(status=status, retry_after="0", message="no: sk-secret-1")] * 8)
    with pytest.raises(kind) as raised:
        memory.add("I live in Oslo.", user_id="u")
    check(raised.value)
    assert raised.value.retryable == (kind is errors.RateLimitError)
    assert raised.value.operation_id and raised.value.backend


def test_a_missing_extra_names_what_to_install(tmp_path: Path) -> None:
    import subprocess

    code = f"""
import sys
sys.modules["chromadb"] = None
from memkit import Memory
from memkit.errors import MissingDependencyError
try:
    memory = Memory({str(tmp_path)!r}, vector_store="chroma", llm=None)
    memory.rebuild()
except MissingDependencyError as error:
    assert "memkit-ai[chroma]" in str(error), error
else:
    raise AssertionError("it was not missed")
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, cwd=Path(__file__).resolve().parents[2]
    )


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (None, "NoneType"), (5, "int"), ([], "empty"), ("", "empty"), ("  ", "blank"), ({}, "role"), ({"role": "user"}, "`content`"), ({"content": "x"}, "`role`"),
        ([{"role": "user", "content": "fine"}, {"role": "usr", "content": "x"}], r"messages\[1\].*user"),
        ([{"role": "user", "content": "fine"}, 7], r"messages\[1\]"),
        ([{"role": "user", "contnt": "x"}], r"messages\[0\].*contnt.*content"),
        ([{"role": "user", "content": "x", "timestamp": 1}], "created_at"),
        ([{"role": "user", "content": ["x", 5]}], r"content\[1\]"),
        ([{"role": "user", "content": "x", "metadata": 5}], "metadata"),
        ([{"role": "user", "content": "x", "name": 5}], "name"),
        ([{"role": "user", "content": "\ud800"}], "surrogate"),
        ([{"role": "user", "content": "x" * 4_200_000}], "Split"),
        ([[{"role": "user", "content": "x"}]], r"messages\[0\].*list"),
    ],
    ids=lambda v: str(v)[:40],
)  # fmt: skip
def test_messages_of_the_wrong_shape_are_told_by_index_and_key(
    memory: Face, messages: Any, words: str
) -> None:
    with pytest.raises(errors.InvalidInputError, match=words):
        memory.add(messages, user_id="u")
    assert memory.messages(user_id="u") == []


@pytest.mark.parametrize(
    "given",
    [{"kind": "fct"}, {"origin": "usr"}, {"metadata": 5}, {"metadata": {"x": object()}}, {"metadata": {1: 2}}, {"infer": "no"}, {"background": 1},
     {"prompt": 5}, {"prompt": ""}, {"memory_type": "procedural"}],

)  # fmt: skip
def test_options_of_the_wrong_shape_are_named(memory: Face, given: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidInputError, match=next(iter(given))):
        memory.add("x", user_id="u", **given)
    assert memory.count(user_id="u") == 0
