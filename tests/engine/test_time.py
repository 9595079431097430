"""Two clocks: when it was said, and when it was true. And what is over is over."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from memkit.errors import InvalidInputError
from tests.engine.faces import Face


def put(memory: Face, text: str, **given: Any) -> str:
    said = given.pop("said", None)
    items: Any = text if said is None else [{"role": "user", "content": text, "created_at": said}]
    return memory.add(items, user_id="u", infer=False, **given).results[0].id


@pytest.mark.parametrize(
    "given",
    ["2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00", "2024-05-01 12:00", datetime(2024, 5, 1, 12),
     datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))), datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp(), 1714564800],
)  # fmt: skip
def test_instants_are_kept_in_utc_and_naive_is_utc(memory: Face, given: object) -> None:
    item = memory.get(put(memory, "x", said=given))
    assert item.created_at == datetime(
        2024, 5, 1, 12, tzinfo=UTC
    ) and item.created_at.utcoffset() == timedelta(0)
    assert item.valid_from == item.created_at


def test_created_at_defaults_to_now_and_valid_from_to_created_at(memory: Face) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    item = memory.get(put(memory, "x"))
    assert before <= item.created_at <= datetime.now(UTC) and item.valid_from == item.created_at
    past = memory.get(put(memory, "y", valid_from="2020-01-01"))
    assert past.valid_from.year == 2020 and past.created_at > before
    (event,) = memory.history(
        memory.add([{"role": "user", "content": "z", "created_at": "2020-01-01"}], user_id="u").results[0].id
    )
    assert event.at > before, "recorded now, said then"


@pytest.mark.parametrize(
    "bad",
    [
        "yesterday",
        "2024-13-01",
        "2023-02-29",
        True,
        [],
        {},
        float("nan"),
        1e30,
        "9999-12-31T23:59:59-10:00",
        "0001-01-01T00:00:00+10:00",
    ],
)
def test_what_is_no_instant_is_an_error_that_names_the_argument(memory: Face, bad: object) -> None:
    with pytest.raises(InvalidInputError, match="created_at"):
        put(memory, "x", said=bad)
    for name in ("valid_from", "expires_at"):
        with pytest.raises(InvalidInputError, match=name):
            put(memory, "x", **{name: bad})
    with pytest.raises(InvalidInputError, match="as_of"):
        memory.search("x", user_id="u", as_of=bad)
    assert memory.count(user_id="u") == 0


@pytest.mark.parametrize(
    "far", ["0001-01-01", "9999-12-31", datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)]
)
def test_the_ends_of_the_calendar_hold(memory: Face, far: object) -> None:
    id = put(memory, "x", said=far, expires_at="9999-12-31")
    assert memory.get(id).memory == "x"
    assert [m.content for m in memory.messages(user_id="u")] == ["x"]


def test_as_of_is_what_was_true_then_by_what_we_know_now(memory: Face) -> None:
    a = put(memory, "Oslo", said="2024-01-01", kind="fact")
    memory.update(a, valid_until="2024-06-01T00:00:00Z")
    put(memory, "Bergen", said="2024-06-01", kind="fact")
    for read in (memory.texts, lambda **k: memory.found("Oslo Bergen", **k)):
        assert sorted(read(user_id="u")) == ["Bergen"]
        assert sorted(read(user_id="u", as_of="2024-03-01")) == ["Oslo"]
        assert sorted(read(user_id="u", as_of="2024-06-01T00:00:00Z")) == ["Bergen"]
        assert sorted(read(user_id="u", as_of="2023-01-01")) == []
    memory.update(a, "Oslo, Norway")
    assert memory.texts(user_id="u", as_of="2024-03-01") == ["Oslo, Norway"], (
        "a correction holds for the past too"
    )


def test_a_bare_date_as_an_upper_bound_includes_its_day(memory: Face) -> None:
    put(memory, "noon", said="2024-05-01T12:00:00Z")
    for day in ("2024-05-01", "20240501", "2024-W18-3", date(2024, 5, 1)):
        assert memory.texts(user_id="u", as_of=day) == ["noon"]
        assert memory.found("noon", user_id="u", as_of=day) == ["noon"]
    assert memory.texts(user_id="u", as_of="2024-04-30") == []
    assert memory.texts(user_id="u", as_of="2024-05-01T00:00:00Z") == []
    id = put(memory, "today only", expires_at=datetime.now(UTC).date())
    assert memory.get(id) is not None, "it holds until the day is over"
    assert memory.get(id).expires_at.hour == 23
    id = put(memory, "until today")
    memory.update(id, valid_until=datetime.now(UTC).date().isoformat())
    assert "until today" in memory.texts(user_id="u")


def test_what_is_expired_is_invisible_from_that_instant(memory: Face) -> None:
    put(memory, "stays")
    id = put(memory, "goes", expires_at=time.time() + 0.4)
    assert sorted(memory.texts(user_id="u")) == ["goes", "stays"]
    assert sorted(memory.found("goes stays", user_id="u")) == ["goes", "stays"]
    time.sleep(0.45)
    assert memory.get(id) is None
    for read in (memory.texts, lambda **k: memory.found("goes stays", **k)):
        assert read(user_id="u") == ["stays"]
        assert "goes" not in read(user_id="u", as_of=time.time() - 0.2)
    assert memory.texts(user_id="u", include_closed=True) == ["stays"]
    assert memory.count(user_id="u") == 1 and memory.count(user_id="u", filters={"kind": "fact"}) == 1
    assert "goes" not in str(memory.context("goes stays", user_id="u"))
    assert memory.repair().expired == 1
    events = memory.history(id)
    assert [e.event for e in events] == ["ADD", "EXPIRE"]
    assert memory.repair().expired == 0


def test_what_is_deleted_or_forgotten_never_appears_as_of_any_time(memory: Face) -> None:
    memory.delete(put(memory, "deleted", said="2024-01-01"))
    memory.forget(memory_id=put(memory, "forgotten", said="2024-01-01"))
    for when in ("2024-02-01", None):
        assert memory.texts(user_id="u", as_of=when, include_closed=True) == []
        assert memory.found("deleted forgotten", user_id="u", as_of=when) == []


def test_what_will_be_true_is_not_current_yet(memory: Face) -> None:
    id = put(memory, "The office moves.", valid_from="2999-01-01")
    assert memory.texts(user_id="u") == [] and memory.get(id) is not None
    assert memory.texts(user_id="u", as_of="2999-01-02") == ["The office moves."]
    put(memory, "A turn from the future.", said="2999-06-01")
    assert memory.texts(user_id="u") == ["A turn from the future."], "what was said is known"


@pytest.mark.parametrize(
    ("said", "told", "day_beside"),
    [
        ("2025-05-09T00:30:00+05:00", "8 May", "7 May"),
        ("2025-07-07T20:00:00-08:00", "6 July", "7 July"),
    ],
)
def test_yesterday_is_counted_from_the_day_that_it_was_where_it_was_said(
    memory: Face, said: str, told: str, day_beside: str
) -> None:
    def worth(day: str, reader: Face) -> float:
        found = reader.search(f"Which umbrella did I lose on {day}?", user_id="u", explain=True)
        return next(
            why["contributions"]["day"]
            for item, why in zip(found.results, found.explain, strict=True)
            if "red" in item.memory
        )

    memory.add([{"role": "user", "content": "I met Ann.", "created_at": "2025-01-01"}], user_id="u")
    memory.search("umbrella", user_id="u")  # What comes later brings the ranking up to date.
    lost = {"role": "user", "content": "I lost my red umbrella yesterday.", "created_at": said}
    memory.add([lost], user_id="u")
    assert worth(told, memory) > worth(day_beside, memory), "said soon after that day, but not of it"
    memory.raw._parts._caches = None  # It is read anew, as a process that opens the memory does.
    assert worth(told, memory) > worth(day_beside, memory)


def test_what_holds_until_a_day_held_on_that_day(memory: Face) -> None:
    oslo = put(memory, "Oslo", valid_from="2024-01-01")
    memory.update(oslo, valid_until="2024-12-31")
    put(memory, "Bergen", valid_from="2025-01-01")
    for day in ("2024-12-30", "2024-12-31", date(2024, 12, 31)):
        assert memory.texts(user_id="u", as_of=day) == ["Oslo"]
        assert memory.found("Oslo Bergen", user_id="u", as_of=day) == ["Oslo"]
    assert memory.texts(user_id="u", as_of="2025-01-01") == ["Bergen"]
