"""get, get_all, count, messages, scopes: what is listed, in which order, page by page."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memkit.errors import InvalidInputError
from memkit.llms.fake import FakeLLM
from tests.engine.faces import Face, World, answer, fact, ids_of


def turns(*texts: str, **more: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": text, **more} for text in texts]


# ------------------------------------------------------------------------------------- nothing there


def test_reads_of_nothing_find_nothing_and_make_no_file(world: World, memory: Face) -> None:
    assert memory.get("nothing") is None
    assert memory.get_all(user_id="u").results == []
    assert memory.get_all(user_id="u").next_cursor is None
    assert memory.count(user_id="u") == 0
    assert memory.messages(user_id="u") == []
    assert memory.history("nothing") == []
    assert memory.search("anything", user_id="u").results == []
    assert memory.scopes().results == []
    assert str(memory.context("anything", user_id="u")) == ""
    assert memory.stats().memories == 0
    assert memory.repair().finished == []
    assert memory.delete_all(user_id="u").count == 0
    memory.flush()
    memory.reset()
    assert not world.path.exists()


def test_get_of_a_missing_id_is_none_also_where_there_are_others(memory: Face) -> None:
    memory.add("One.", user_id="u", infer=False)
    assert memory.get("nothing") is None
    assert memory.get("00000000-0000-4000-8000-000000000000") is None
    assert memory.history("nothing") == []


@pytest.mark.parametrize("bad", [None, "", "  ", ["x"], {"id": "x"}, True, "\ud800"])
def test_an_id_that_is_none_at_all_is_an_error(memory: Face, bad: object) -> None:
    with pytest.raises(InvalidInputError, match="memory_id"):
        memory.get(bad)


@pytest.mark.parametrize("odd", ["a\x00b", "x" * 100_000, "'; DROP TABLE record; --", 12])
def test_an_odd_id_is_just_missing(memory: Face, odd: object) -> None:
    memory.add("One.", user_id="u", infer=False)
    assert memory.get(odd) is None
    assert memory.history(odd) == []


# ------------------------------------------------------------------------------------- one item


def test_an_item_says_all_it_knows(memory: Face) -> None:
    given = datetime(2024, 5, 1, 12, tzinfo=UTC)
    result = memory.add(
        [{"role": "user", "content": "I live in Oslo.", "name": "ana", "created_at": given, "metadata": {"n": 1}}],
        user_id="u", agent_id="a", run_id="r", metadata={"topic": "home"},
    )  # fmt: skip
    item = memory.get(result.results[0].id)
    assert (item.memory, item.kind, item.role, item.actor_id, item.origin) == (
        "I live in Oslo.", "message", "user", "ana", "user",
    )  # fmt: skip
    assert (item.user_id, item.agent_id, item.run_id) == ("u", "a", "r")
    assert item.metadata == {"topic": "home", "n": 1}
    assert item.created_at == item.valid_from == given
    assert item.valid_until is None and item.expires_at is None and item.version == 1
    assert item.score is None and not item.pinned
    (message,) = memory.messages(user_id="u")
    assert [source.message_id for source in item.sources] == [message.id]
    assert item["memory"] == item.get("memory") == "I live in Oslo."
    assert result["results"][0]["memory"] == "I live in Oslo."
    assert result["results"][0]["event"] == "ADD"
    assert item.scope.user_id == "u"


def test_origin_follows_the_role_unless_given(memory: Face) -> None:
    memory.add(
        [
            {"role": "user", "content": "A"},
            {"role": "assistant", "content": "B"},
            {"role": "tool", "content": "C"},
        ],
        user_id="u",
    )
    assert {i.memory: i.origin for i in memory.get_all(user_id="u").results} == {
        "A": "user", "B": "assistant", "C": "tool",
    }  # fmt: skip
    memory.add("D", user_id="v", infer=False, origin="document")
    assert memory.get_all(user_id="v").results[0].origin == "document"


def test_a_search_hit_and_a_get_are_the_same_but_for_the_score(memory: Face) -> None:
    memory.add("I live in Oslo.", user_id="u", infer=False, metadata={"a": [1, {"b": None}]})
    (hit,) = memory.search("Where do I live?", user_id="u").results
    assert 0 <= hit.score <= 1
    assert hit.model_copy(update={"score": None}) == memory.get(hit.id)


# ------------------------------------------------------------------------------------- pages


def test_get_all_is_newest_first_by_when_it_was_said(memory: Face) -> None:
    for day in (3, 1, 2):
        memory.add(turns(f"day {day}", created_at=f"2024-01-0{day}T10:00:00"), user_id="u")
    memory.add(turns("day 2 again", created_at="2024-01-02T10:00:00"), user_id="u")
    assert memory.texts(user_id="u") == ["day 3", "day 2 again", "day 2", "day 1"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_give_everything_once_and_in_order(memory: Face, limit: int) -> None:
    memory.add_many([f"note {n}" for n in range(7)], user_id="u")
    seen: list[str] = []
    cursor = None
    for _ in range(8):
        page = memory.get_all(user_id="u", limit=limit, cursor=cursor)
        assert len(page.results) <= limit
        seen += [item.memory for item in page.results]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"note {n}" for n in reversed(range(7))]


def test_pages_across_users_are_newest_first_whoever_they_are_of(memory: Face) -> None:
    said: list[str] = []
    for n in range(24):
        text = f"note {n}"
        day = f"2024-01-{1 + n * 7 % 24:02}"
        memory.add(
            [{"role": "user", "content": text, "created_at": day}], user_id=f"user-{n % 5}", infer=False
        )
        said.append(text)
    expected = sorted(said, key=lambda text: -(int(text.split()[1]) * 7 % 24))
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = memory.get_all(allow_global=True, limit=7, cursor=cursor)
        found += [item.memory for item in page.results]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == expected


def test_a_cursor_stays_good_while_others_write(memory: Face) -> None:
    memory.add_many([f"note {n}" for n in range(4)], user_id="u")
    first = memory.get_all(user_id="u", limit=2)
    memory.add("newer", user_id="u", infer=False)
    memory.delete(first.results[1].id)
    rest = memory.get_all(user_id="u", limit=10, cursor=first.next_cursor)
    assert [item.memory for item in rest.results] == ["note 1", "note 0"]


@pytest.mark.parametrize("cursor", ["x", "!!", "e30", "bm90IGpzb24", ""])
def test_a_cursor_that_is_not_ours_is_an_error(memory: Face, cursor: str) -> None:
    memory.add("One.", user_id="u", infer=False)
    with pytest.raises(InvalidInputError, match="cursor"):
        memory.get_all(user_id="u", cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "3", True, None])
def test_a_limit_is_a_whole_number_of_at_least_one(memory: Face, limit: object) -> None:
    for call in (
        lambda: memory.get_all(user_id="u", limit=limit),
        lambda: memory.search("q", user_id="u", limit=limit),
        lambda: memory.scopes(limit=limit),
    ):
        with pytest.raises(InvalidInputError, match="limit"):
            call()


def test_pages_with_a_filter_are_full(memory: Face) -> None:
    memory.add_many(
        [{"role": "user", "content": f"n {n}", "metadata": {"even": n % 2 == 0}} for n in range(40)],
        user_id="u",
    )
    page = memory.get_all(user_id="u", filters={"even": True}, limit=15)
    assert len(page.results) == 15
    rest = memory.get_all(user_id="u", filters={"even": True}, limit=15, cursor=page.next_cursor)
    assert len(rest.results) == 5 and rest.next_cursor is None
    assert memory.count(user_id="u", filters={"even": True}) == 20


def test_count_and_get_all_list_what_is_current_and_include_closed_adds_the_rest(world: World) -> None:
    llm = FakeLLM([
        answer(fact("The user lives in Oslo.", quote="I live in Oslo")),
        answer(fact("The user lives in Bergen.", quote="I moved to Bergen", action="supersede", replaces="m1")),
    ])  # fmt: skip
    memory = world.open(llm=llm)
    old = memory.add("I live in Oslo.", user_id="u").results[0].id
    result = memory.add("I moved to Bergen.", user_id="u")
    assert [outcome.event for outcome in result.results] == ["SUPERSEDE"], result
    expired = memory.add("Gone.", user_id="u", infer=False, expires_at="2020-01-01").results[0].id
    deleted = memory.add("Deleted.", user_id="u", infer=False).results[0].id
    memory.delete(deleted)
    assert memory.count(user_id="u") == 1
    assert memory.texts(user_id="u") == ["The user lives in Bergen."]
    assert memory.found("where does the user live", user_id="u") == ["The user lives in Bergen."]
    closed = memory.get_all(user_id="u", include_closed=True)
    assert sorted(i.memory for i in closed.results) == [
        "The user lives in Bergen.",
        "The user lives in Oslo.",
    ]
    assert memory.get(old).valid_until is not None, "get returns any with its valid_until"
    assert memory.get(expired) is None and memory.get(deleted) is None


# ------------------------------------------------------------------------------------- messages


def test_messages_are_the_newest_and_oldest_first(memory: Face) -> None:
    memory.add(turns("a", "b", "c", "d"), user_id="u")
    assert [m.content for m in memory.messages(user_id="u")] == ["a", "b", "c", "d"]
    newest = memory.messages(user_id="u", limit=2)
    assert [m.content for m in newest] == ["c", "d"]
    assert [m.content for m in memory.messages(user_id="u", limit=2, before=newest[0].id)] == ["a", "b"]
    assert [m.content for m in memory.messages(user_id="u", limit=1, before=newest[0].id)] == ["b"]


def test_messages_before_an_instant(memory: Face) -> None:
    for day in (1, 2, 3):
        memory.add(turns(f"day {day}", created_at=f"2024-01-0{day}"), user_id="u")
    for before in (
        "2024-01-03",
        datetime(2024, 1, 3),
        "2024-01-03T00:00:00Z",
        datetime(2024, 1, 3, tzinfo=UTC).timestamp(),
    ):
        assert [m.content for m in memory.messages(user_id="u", before=before)] == ["day 1", "day 2"]


def test_an_id_that_looks_like_a_date_is_an_id(memory: Face) -> None:
    memory.add(
        [
            {"role": "user", "content": "first", "id": "20230101"},
            {"role": "user", "content": "second", "id": "20240101"},
        ],
        user_id="u",
    )
    assert [m.content for m in memory.messages(user_id="u", before="20240101")] == ["first"]


def test_before_an_unknown_message_is_an_error_that_says_what_to_pass(memory: Face) -> None:
    memory.add(turns("a"), user_id="u")
    with pytest.raises(InvalidInputError, match="nothing"):
        memory.messages(user_id="u", before="no-such-message")


def test_messages_of_a_user_span_all_runs_in_order_of_time(memory: Face) -> None:
    memory.add(turns("late", created_at="2024-02-01"), user_id="u", run_id="r1")
    memory.add(turns("early", created_at="2024-01-01"), user_id="u", run_id="r2")
    memory.add(turns("other"), user_id="v", run_id="r1")
    assert [m.content for m in memory.messages(user_id="u")] == ["early", "late"]
    assert [m.content for m in memory.messages(user_id="u", run_id="r1")] == ["late"]
    assert [m.run_id for m in memory.messages(user_id="u")] == ["r2", "r1"]
    assert [m.content for m in memory.messages(user_id="u", run_id=["r1", "r2"])] == ["early", "late"]


def test_blocks_and_names_are_kept_whole(memory: Face) -> None:
    blocks = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
    ]
    memory.add(
        [{"role": "user", "content": blocks, "name": "ana", "metadata": {"k": [1]}, "id": "m1"}], user_id="u"
    )
    (message,) = memory.messages(user_id="u")
    assert (message.content, message.name, message.metadata, message.id) == (blocks, "ana", {"k": [1]}, "m1")
    assert message.text == "Look:"


# ------------------------------------------------------------------------------------- scopes


def test_scopes_are_owners_with_counts_ordered_by_id(memory: Face) -> None:
    memory.add(turns("a", "b"), user_id="b")
    memory.add("c", user_id="a", infer=False)
    memory.add("d", agent_id="bot", infer=False)
    memory.add("e", run_id="r", infer=False)
    page = memory.scopes()
    assert [(o.kind, o.id, o.memories, o.messages) for o in page.results] == [
        ("user", "a", 1, 0),
        ("user", "b", 2, 2),
    ]
    assert all(o.last_change is not None for o in page.results)
    assert [o.id for o in memory.scopes(kind="agent").results] == ["bot"]
    assert [o.id for o in memory.scopes(kind="run").results] == ["r"]


def test_scopes_come_in_pages_and_by_prefix(memory: Face) -> None:
    for user in ("a%", "a_b", "ab", "b"):
        memory.add("x", user_id=user, infer=False)
    first = memory.scopes(limit=3)
    assert [o.id for o in first.results] == ["a%", "a_b", "ab"]
    assert [o.id for o in memory.scopes(limit=3, cursor=first.next_cursor).results] == ["b"]
    assert [o.id for o in memory.scopes(prefix="a_").results] == ["a_b"]
    assert [o.id for o in memory.scopes(prefix="a%").results] == ["a%"]
    assert ids_of(memory.scopes(prefix="a").results) == ["a%", "a_b", "ab"]
