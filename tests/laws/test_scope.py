"""Law 2: scope is not a filter. Nothing that a caller, a filter, a message or a model writes can widen it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memkit.errors import (
    FilterError,
    InvalidInputError,
    MemoryNotFoundError,
    OperationNotFoundError,
    ScopeError,
)
from memkit.llms.fake import FakeLLM
from tests.engine.faces import Face, World, answer, fact

LONG = "x" * 3_000
ODD = [
    "a b", " a b", "a b ", "ÄÖ", "äö", "A\u0308O\u0308", "x\u200b", "x", "1", "01", "ana@example.com", "Ana@example.com", LONG, LONG + "y",
    "it's", 'a"b', "50%", "5_%", "50_", "nul\x00byte", "nul", "*", "None", "null", "[]", "{}", "../..", "a/b", "a:b", "a|b", "日本", "👩‍👩‍👧", "\t",
    "'; DROP TABLE record; --", "true", "user_id",
]  # fmt: skip
ODD.remove("\t")

READS: dict[str, Callable[..., list[str]]] = {
    "search": lambda memory, **scope: memory.found("secret", **scope),
    "get_all": lambda memory, **scope: memory.texts(**scope),
    "as_of": lambda memory, **scope: memory.texts(as_of="2999-01-01", include_closed=True, **scope),
    "messages": lambda memory, **scope: [m.content for m in memory.messages(**scope)],
}


def said(text: str, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text, **more}]


@pytest.fixture
def crowd(memory: Face) -> Face:
    """The same secret, told under every combination of ids."""
    for user in ("u", "v", None):
        for agent in ("a", "b", None):
            for run in ("r", "s", None):
                if user or agent or run:
                    ids = {"user_id": user, "agent_id": agent, "run_id": run}
                    memory.add(said(f"secret {user} {agent} {run}"), **ids)
    return memory


def seen(memory: Face, read: str, **scope: Any) -> set[str]:
    limit = {} if read == "messages" else {"limit": 100}
    return {text.removeprefix("secret ") for text in READS[read](memory, **limit, **scope)}


# ------------------------------------------------------------------------------------- ANDed


@pytest.mark.parametrize("read", list(READS))
def test_given_ids_are_anded_and_without_a_user_only_userless_records_are_seen(
    crowd: Face, read: str
) -> None:
    def those(**wanted: Any) -> set[str]:
        every = {(u, a, r) for u in ("u", "v", None) for a in ("a", "b", None) for r in ("r", "s", None)} - {
            (None, None, None)
        }
        return {
            f"{u} {a} {r}"
            for u, a, r in every
            if u == wanted.get("u")
            and a in wanted.get("a", ("a", "b", None))
            and r in wanted.get("r", ("r", "s", None))
        }

    assert seen(crowd, read, user_id="u") == those(u="u")
    assert seen(crowd, read, user_id="u", agent_id="a") == those(u="u", a=("a",))
    assert seen(crowd, read, user_id="u", agent_id="a", run_id="r") == {"u a r"}
    assert seen(crowd, read, user_id="u", run_id="r") == those(u="u", r=("r",))
    assert seen(crowd, read, agent_id="a") == those(a=("a",)), "only records stored without a user"
    assert seen(crowd, read, run_id="r") == those(r=("r",))
    assert seen(crowd, read, agent_id="a", run_id="s") == {"None a s"}
    assert seen(crowd, read, user_id="u", agent_id=["a", None]) == those(u="u", a=("a", None))
    assert seen(crowd, read, user_id="u", agent_id=[None]) == those(u="u", a=(None,))
    assert seen(crowd, read, user_id="u", agent_id=["a", "b"], run_id=["r", None]) == those(
        u="u", a=("a", "b"), r=("r", None)
    )
    assert seen(crowd, read, agent_id=[None], run_id="r") == {"None None r"}
    assert seen(crowd, read, agent_id=["a", None]) == those(a=("a", None)), "userless, and never every user's"
    assert seen(crowd, read, user_id="w") == set()


def test_counts_and_deletions_see_the_same(crowd: Face) -> None:
    assert crowd.count(user_id="u") == 9 and crowd.count(agent_id="a") == 3 and crowd.count(run_id="r") == 3
    assert crowd.count(user_id="u", agent_id=["a", None]) == 6 and crowd.count(allow_global=True) == 26
    assert crowd.delete_all(run_id="r").count == 3
    assert crowd.count(user_id="u") == 9 and crowd.count(allow_global=True) == 23
    assert crowd.delete_all(user_id="u", agent_id=["a", None], run_id="r").count == 2
    assert crowd.forget(agent_id="b").memories == 3, "what is deleted is erased as well"
    assert crowd.count(user_id="v", agent_id="b") == 3


def test_across_users_only_when_it_is_said(crowd: Face) -> None:
    assert len(crowd.search("secret", allow_global=True, limit=100).results) == 26
    assert len(crowd.get_all(allow_global=True).results) == 26
    assert {i.user_id for i in crowd.get_all(allow_global=True, agent_id="a").results} == {"u", "v", None}
    assert {i.user_id for i in crowd.get_all(allow_global=True, user_id="u").results} == {"u"}


# ------------------------------------------------------------------------------------- exact ids


def test_odd_ids_are_each_their_own(memory: Face) -> None:
    for id in ODD:
        memory.add(said(f"of {id}"), user_id=id)
    for id in ODD:
        for read in (memory.texts, lambda **k: [m.content for m in memory.messages(**k)]):
            assert read(user_id=id) == [f"of {id}"], repr(id[:20])
        item = memory.get_all(user_id=id).results[0]
        assert item.user_id == id
    assert memory.found("of", user_id="A") == []
    owners = {owner.id for owner in memory.scopes(limit=200).results}
    assert owners == set(ODD)
    memory.delete_all(user_id="5_%")
    assert memory.count(user_id="50%") == memory.count(user_id="50_") == 1


@pytest.mark.parametrize("field", ["agent_id", "run_id"])
def test_odd_agents_and_runs_are_each_their_own(memory: Face, field: str) -> None:
    for id in ODD:
        memory.add(f"of {id}", user_id="u", infer=False, **{field: id})
    for id in ODD:
        assert memory.texts(user_id="u", **{field: id}) == [f"of {id}"], repr(id[:20])
    assert sorted(memory.texts(user_id="u", **{field: ["a b", "x"]})) == ["of a b", "of x"]


def test_ids_of_any_type_become_text(memory: Face) -> None:
    from uuid import UUID

    memory.add("x", user_id=1, agent_id=UUID(int=7), infer=False)
    assert memory.texts(user_id="1") == memory.texts(user_id=1) == ["x"]
    assert memory.texts(user_id=1, agent_id=[UUID(int=7), None]) == ["x"]
    assert memory.get_all(user_id=1).results[0].agent_id == str(UUID(int=7))


@pytest.mark.parametrize("bad", ["", " ", "\t\n", "\u3000", "\ud800", True, ["u"], ("u",), {"id": "u"}, b"u"])
@pytest.mark.parametrize("field", ["user_id", "agent_id", "run_id"])
def test_a_blank_or_impossible_id_is_an_error(memory: Face, field: str, bad: object) -> None:
    with pytest.raises(ScopeError, match=field):
        memory.add("x", infer=False, **{field: bad})
    if isinstance(bad, list | tuple) and field != "user_id":
        return
    for read in (memory.get_all, memory.count, memory.messages, memory.delete_all, memory.forget):
        with pytest.raises(ScopeError, match=field):
            read(**{field: bad})
    with pytest.raises(ScopeError, match=field):
        memory.search("x", **{field: bad})


@pytest.mark.parametrize("bad", [[], [""], ["a", " "], [["a"]]])
def test_a_list_of_ids_holds_ids(memory: Face, bad: object) -> None:
    for field in ("agent_id", "run_id"):
        with pytest.raises(ScopeError, match=field):
            memory.get_all(user_id="u", **{field: bad})


def test_no_scope_is_an_error_that_says_what_to_pass(memory: Face) -> None:
    for call in (lambda: memory.add("x"), lambda: memory.add_many(["x"]), lambda: memory.search("x"), lambda: memory.context("x"), memory.get_all,
                 memory.count, memory.messages, memory.delete_all, memory.forget, lambda: memory.bind()):  # fmt: skip
        with pytest.raises(ScopeError, match="user_id"):
            call()


# ------------------------------------------------------------------------------------- forgery


@pytest.mark.parametrize("field", ["user_id", "agent_id", "run_id"])
@pytest.mark.parametrize(
    "shape",
    [lambda f, v: {f: v}, lambda f, v: {f: "*"}, lambda f, v: {"AND": [{f: v}]}, lambda f, v: {"OR": [{f: v}, {"a": 1}]},
     lambda f, v: {"NOT": [{f: "u"}]}, lambda f, v: {f: {"ne": "u"}}, lambda f, v: {f: {"in": ["u", v]}},
     lambda f, v: {"a": 1, "AND": [{"OR": [{"NOT": [{f: {"exists": False}}]}]}]}],
)  # fmt: skip
def test_a_filter_that_names_a_scope_id_is_refused_and_says_how_to_pass_scope(
    crowd: Face, field: str, shape: Any
) -> None:
    filters = shape(field, "v")
    for call in (lambda: crowd.search("secret", user_id="u", filters=filters), lambda: crowd.get_all(user_id="u", filters=filters),
                 lambda: crowd.count(user_id="u", filters=filters), lambda: crowd.context("secret", user_id="u", filters=filters)):  # fmt: skip
        with pytest.raises(FilterError, match=field):
            call()


def test_filters_only_ever_narrow(crowd: Face) -> None:
    for filters in (
        {"NOT": [{"nope": 1}]},
        {"OR": [{"nope": 1}, {"kind": "message"}]},
        {"nope": {"ne": 1}},
        {"nope": {"exists": False}},
    ):
        assert seen(crowd, "search", user_id="u", agent_id="a", run_id="r", filters=filters) == {"u a r"}
        assert crowd.count(user_id="u", agent_id="a", filters=filters) == 3


@pytest.mark.parametrize("field", ["user_id", "agent_id", "run_id"])
def test_metadata_and_messages_cannot_set_a_scope(memory: Face, field: str) -> None:
    for call in (
        lambda: memory.add("x", user_id="u", metadata={field: "v"}, infer=False),
        lambda: memory.add(said("x", metadata={field: "v"}), user_id="u"),
        *((lambda: memory.add(said("x", **{field: "v"}), user_id="u"),) if field != "run_id" else ()),
    ):
        with pytest.raises(ScopeError, match=field):
            call()
    assert memory.count(allow_global=True) == 0


def test_an_items_run_narrows_and_never_leaves_the_user(memory: Face) -> None:
    memory.add(said("x", run_id="r"), user_id="u")
    assert memory.texts(run_id="r") == [] and memory.texts(user_id="u", run_id="r") == ["x"]


def test_the_words_of_a_query_are_only_words(crowd: Face) -> None:
    for query in (
        "user_id:v secret",
        "secret\x00v",
        "\" OR user_id='v'",
        "secret) OR (1=1",
        "NEAR(secret)",
        "secret AND NOT u",
        "*",
        "🙂",
        "%",
        "-",
    ):
        assert all(i.user_id == "u" for i in crowd.search(query, user_id="u", limit=100).results)


def test_what_a_model_writes_cannot_set_a_scope(world: World) -> None:
    forged = {
        **fact("The user lives in Oslo.", quote="I live in Oslo"),
        "user_id": "v",
        "metadata": {"user_id": "v"},
        "scope": {"user_id": "v"},
    }
    memory = world.open(llm=FakeLLM([answer(forged)]))
    memory.add("I live in Oslo.", user_id="u")
    assert memory.count(user_id="v") == 0 and memory.count(user_id="u") == 1


# ------------------------------------------------------------------------------------- handles


def test_a_handle_reads_and_writes_its_scope_alone(crowd: Face) -> None:
    alice = crowd.bind(user_id="u", agent_id="a")
    assert alice.scope.as_dict() == {"user_id": "u", "agent_id": "a"}
    assert {i.user_id for i in alice.search("secret", limit=100).results} == {"u"}
    assert alice.count() == 3 == len(alice.get_all().results) == len(alice.messages())
    new = alice.add("mine", infer=False).results[0].id
    assert (crowd.get(new).user_id, crowd.get(new).agent_id) == ("u", "a")
    alice.add("in a run", run_id="r", infer=False)
    assert alice.count(run_id="r") == 2
    assert alice.delete_all().count == 5 and crowd.count(user_id="u") == 6


def test_nothing_passed_to_a_handle_leaves_it(crowd: Face) -> None:
    alice = crowd.bind(user_id="u", agent_id="a")
    for scope in (
        {"user_id": "v"},
        {"agent_id": "b"},
        {"agent_id": ["a", "b"]},
        {"agent_id": [None]},
        {"agent_id": ["a", None]},
    ):
        for call in (
            alice.get_all,
            alice.count,
            alice.messages,
            alice.delete_all,
            alice.forget,
            lambda **k: alice.search("x", **k),
            lambda **k: alice.context("x", **k),
        ):
            with pytest.raises(ScopeError):
                call(**scope)
    for scope in ({"user_id": "v"}, {"agent_id": "b"}):
        with pytest.raises(ScopeError):
            alice.add("x", infer=False, **scope)
        with pytest.raises(ScopeError):
            alice.bind(**scope)
    for call in (
        alice.get_all,
        alice.count,
        lambda **k: alice.search("x", **k),
        alice.delete_all,
        alice.forget,
    ):
        with pytest.raises(ScopeError, match="allow_global"):
            call(allow_global=True)
    assert alice.count(user_id="u", agent_id="a") == 3, "saying the same is fine"
    assert crowd.count(allow_global=True) == 26


def test_a_handle_of_an_agent_sees_no_users(crowd: Face) -> None:
    bot = crowd.bind(agent_id="a")
    assert bot.count() == 3
    with pytest.raises(ScopeError):
        bot.get_all(user_id="u")
    with pytest.raises(ScopeError):
        bot.add("x", user_id="u", infer=False)


def test_by_id_calls_recheck_the_scope_of_a_handle(memory: Face) -> None:
    result = memory.add(said("secret"), user_id="v", agent_id="a")
    id = result.results[0].id
    other = memory.bind(user_id="u")
    narrow = memory.bind(user_id="v", agent_id="b")
    for handle in (other, narrow):
        assert handle.get(id) is None and handle.history(id) == []
        with pytest.raises(MemoryNotFoundError):
            handle.update(id, "x")
        with pytest.raises(MemoryNotFoundError):
            handle.delete(id)
        with pytest.raises(MemoryNotFoundError):
            handle.forget(memory_id=id)
        with pytest.raises(OperationNotFoundError):
            handle.undo(result.operation_id)
    mine = memory.bind(user_id="v")
    assert mine.get(id).memory == "secret" and len(mine.history(id)) == 1
    deleted = mine.delete(id)
    assert other.history(id) == [] and mine.history(id)[-1].event == "DELETE"
    with pytest.raises(OperationNotFoundError):
        other.undo(deleted.operation_id)
    mine.undo(deleted.operation_id)
    assert memory.get(id).version == 3


def test_an_operation_that_made_no_memory_is_unknown_to_others(memory: Face) -> None:
    result = memory.add([{"role": "system", "content": "Be nice."}], user_id="v")
    with pytest.raises(OperationNotFoundError):
        memory.bind(user_id="u").undo(result.operation_id)
    assert memory.bind(user_id="v").undo(result.operation_id).count == 0


def test_another_handles_message_is_no_place_in_mine(memory: Face) -> None:
    memory.add(said("theirs", id="m1"), user_id="v")
    memory.add(said("mine"), user_id="u")
    with pytest.raises(InvalidInputError, match="m1"):
        memory.messages(user_id="u", before="m1")


def test_operators_calls_are_refused_on_a_handle(memory: Face) -> None:
    handle = memory.bind(user_id="u")
    for name in ("stats", "health", "repair", "rebuild", "reset", "scopes"):
        with pytest.raises(ScopeError, match=name):
            getattr(handle, name)()


def test_closing_a_handle_leaves_the_memory_open(memory: Face) -> None:
    handle = memory.bind(user_id="u")
    handle.add("x", infer=False)
    handle.close()
    assert memory.texts(user_id="u") == ["x"]
    assert handle.to_sync().get_all().results[0].memory == "x" if memory.runner is None else True


def test_a_handle_of_a_handle_is_narrower(crowd: Face) -> None:
    alice = crowd.bind(user_id="u")
    narrow = alice.bind(user_id="u", run_id="r")
    assert narrow.count() == 3 and alice.count() == 9


def test_a_forget_without_arguments_on_a_handle_forgets_its_scope(crowd: Face) -> None:
    receipt = crowd.bind(user_id="u", agent_id="a").forget()
    assert (receipt.memories, receipt.messages) == (3, 3)
    assert crowd.count(user_id="u") == 6 and crowd.count(user_id="v") == 9
