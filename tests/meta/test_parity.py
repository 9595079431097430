"""`Memory` and `AsyncMemory` are one API: the same names, the same arguments, the same results."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from memkit import AsyncMemory, Memory
from tests.meta.tree import ROOT

ALWAYS_SYNC = {"bind", "from_config", "from_env", "to_async", "to_sync"}  # they build a handle and do no I/O
API = (
    "add add_many flush search context get get_all count messages scopes update delete delete_all forget "
    "history undo bind items to_async to_sync stats health repair rebuild reset close from_config from_env"
).split()


def public(owner: type) -> dict[str, Callable[..., Any]]:
    return {
        name: getattr(owner, name)
        for name in dir(owner)
        if not name.startswith("_") and callable(getattr(owner, name))
    }


def plain(annotation: object) -> str:
    """An annotation as text, with the words in which the two faces may differ taken out."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", repr(annotation))
    return re.sub(r"\bAsync(?=[A-Z])", "", text)


def signature(method: Callable[..., Any]) -> list[tuple[str, object, object, str]]:
    parts = inspect.signature(method)
    arguments = [(p.name, p.kind, p.default, plain(p.annotation)) for p in parts.parameters.values()]
    return [*arguments, ("return", None, None, plain(parts.return_annotation))]


def test_both_faces_have_the_same_names() -> None:
    assert sorted(public(Memory)) == sorted(set(public(AsyncMemory)) - {"aclose"})


@pytest.mark.parametrize("name", API)
def test_the_api_is_there(name: str) -> None:
    assert name in public(Memory)
    assert name in public(AsyncMemory)


@pytest.mark.parametrize("name", sorted(public(Memory)))
def test_a_method_has_the_same_signature_in_both(name: str) -> None:
    assert signature(public(AsyncMemory)[name]) == signature(public(Memory)[name])


@pytest.mark.parametrize("name", sorted(public(Memory)))
def test_a_method_is_awaited_in_one_and_plain_in_the_other(name: str) -> None:
    assert not inspect.iscoroutinefunction(public(Memory)[name])
    assert inspect.iscoroutinefunction(public(AsyncMemory)[name]) == (name not in ALWAYS_SYNC)


@pytest.mark.parametrize("owner", [Memory, AsyncMemory])
def test_a_public_method_says_its_law_in_one_sentence(owner: type) -> None:
    silent = [name for name, method in public(owner).items() if not (inspect.getdoc(method) or "").strip()]
    assert silent == []


def test_everything_after_the_subject_of_a_call_is_keyword_only() -> None:
    subjects = {
        "messages",
        "source",
        "items",
        "ids",
        "query",
        "memory_id",
        "operation_id",
        "operations",
        "text",
        "path",
        "config",
        "config_dict",
        "timeout",
    }
    for name, method in public(Memory).items():
        for parameter in list(inspect.signature(method).parameters.values()):
            if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self":
                assert parameter.name in subjects, f"{name}({parameter.name}) may be given by position"


def test_both_faces_are_context_managers() -> None:
    assert hasattr(Memory, "__enter__")
    assert hasattr(AsyncMemory, "__aenter__")
    assert (ROOT / "memkit" / "aio.py").exists()
