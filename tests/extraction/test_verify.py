"""What a fact may rest on, check by check."""

from __future__ import annotations

from typing import Any

import pytest

from memkit.clock import to_us
from memkit.extraction.verify import Verdict, verify
from memkit.prompts.extract import ExtractedMemory, Turn

AT = to_us("2025-03-10T18:00:00Z")


def turn(text: str, role: str = "user", **more: Any) -> Turn:
    return Turn(role=role, text=text, at=AT, **more)


def judge(text: str, quote: str, *turns: Turn, message: int = 1, **more: Any) -> Verdict:
    fields = {key: more.pop(key) for key in ("action", "replaces", "kind") if key in more}
    return verify(ExtractedMemory(text=text, quote=quote, message=message, **fields), turns, **more)


OSLO = turn("I live in Oslo with “two” cats — and I don’t own a car.")


@pytest.mark.parametrize(
    "quote",
    [
        "I live in Oslo",
        "i LIVE in   oslo",
        '"I live in Oslo"',
        'I live in Oslo with "two" cats - and I don\'t own a car',
        "I live in Oslo ... I don't own a car",
        "I live in Oslo […] I don't own a car.",
        "I live in Oslo with two cats and I dont own a car",
        "Ｉ live in Oslo",
    ],
)
def test_a_quote_may_differ_in_case_spaces_and_signs(quote: str) -> None:
    assert judge("User lives in Oslo.", quote, OSLO).ok


@pytest.mark.parametrize(
    "quote", ["I live in Bergen", "Oslo I live", "", "...", "live in Oslo forever and ever", "os"]
)
def test_a_quote_that_is_not_there_is_refused(quote: str) -> None:
    verdict = judge("User lives in Oslo.", quote, OSLO)
    assert not verdict.ok and "quote" in verdict.reason


def test_the_quote_must_stand_in_the_message_that_was_named() -> None:
    first, second = turn("I live in Oslo."), turn("Nice weather today.")
    assert judge("User lives in Oslo.", "I live in Oslo", first, second, message=1).ok
    assert not judge("User lives in Oslo.", "I live in Oslo", first, second, message=2).ok
    assert not judge("User lives in Oslo.", "I live in Oslo", first, second, message=7).ok
    assert judge("User lives in Oslo.", "I live in Oslo", second, first, message=0).ok


def test_what_only_the_assistant_said_is_no_fact_about_the_user() -> None:
    said = turn("You live in Oslo, I will remind you on Fridays.", "assistant")
    verdict = judge("User lives in Oslo.", "You live in Oslo", said)
    assert not verdict.ok and "assistant" in verdict.reason
    assert judge("Assistant will remind the user on Fridays.", "I will remind you on Fridays", said).ok


def test_a_confirmed_question_of_the_assistant_licenses_its_names() -> None:
    assert judge(
        "User lives in Oslo.", "yes", turn("Do you live in Oslo?", "assistant"), turn("yes"), message=2
    ).ok
    assert not judge(
        "User lives in Oslo.", "no", turn("Do you live in Oslo?", "assistant"), turn("no"), message=2
    ).ok


def test_names_may_come_from_earlier_turns_and_from_the_speaker() -> None:
    assert judge(
        "Carla moved to Rome.",
        "she moved to Rome",
        turn("My sister is Carla."),
        turn("she moved to Rome"),
        message=2,
    ).ok
    assert judge(
        "Carla moved to Rome.",
        "she moved to Rome",
        turn("she moved to Rome"),
        earlier=[turn("Carla is my sister")],
    ).ok
    assert judge("Ana moved to Rome.", "I moved to Rome", turn("I moved to Rome", name="Ana")).ok
    assert not judge("Ana moved to Rome.", "I moved to Rome", turn("I moved to Rome", name="Bea")).ok


def test_only_offered_labels_may_be_replaced() -> None:
    said = turn("I moved to Rome.")
    offered = ["User lives in Oslo.", "User has a cat."]
    assert judge(
        "User moved to Rome.", "I moved to Rome", said, action="supersede", replaces="m1", offered=offered
    ).ok
    for label in ("m3", "m0", "x", "m1000000000"):
        verdict = judge(
            "User moved to Rome.",
            "I moved to Rome",
            said,
            action="supersede",
            replaces=label,
            offered=offered,
        )
        assert not verdict.ok and "not offered" in verdict.reason
    assert not judge("No cat.", "I moved to Rome", said, action="retract", offered=offered).ok


def test_a_retraction_and_a_replacement_may_name_what_they_end() -> None:
    offered = ["User works at Initech as a clerk.", "User has a dog called Rex."]
    sold = turn("I don't have the dog any more.")
    assert judge(
        "User no longer has the dog Rex.",
        "I don't have the dog any more",
        sold,
        action="retract",
        replaces="m2",
        offered=offered,
    ).ok
    gone = turn("Forget what I told you about my dog.")
    assert judge(
        "User no longer has the dog Rex.",
        "Forget what I told you about my dog",
        gone,
        action="retract",
        replaces="m2",
        offered=offered,
    ).ok
    moved = turn("I started at Acme today.")
    assert judge(
        "User works at Acme and no longer at Initech.",
        "I started at Acme today",
        moved,
        action="supersede",
        replaces="m1",
        offered=offered,
    ).ok


def test_an_echo_of_recalled_text_is_refused_unless_the_message_says_it() -> None:
    echo = ["User prefers quiet hotel rooms far from the lift."]
    thanks = turn("Thanks, that is very kind of you, book it please.")
    verdict = judge(
        "User prefers quiet hotel rooms far from the lift.", "book it please", thanks, echoes=echo
    )
    assert not verdict.ok and "recalled" in verdict.reason
    said = turn("I want quiet rooms in a hotel, far from the lift.")
    assert judge(
        "User prefers quiet hotel rooms far from the lift.",
        "I want quiet rooms in a hotel, far from the lift",
        said,
        echoes=echo,
    ).ok


@pytest.mark.parametrize(
    ("said", "fact", "ok"),
    [
        ("The rent is 1,200 euros", "User's rent is 1200 euros.", True),
        ("The rent is 1.200 Euro", "User's rent is 1200 euros.", True),
        ("The rent is 1200 euros", "User's rent is 1300 euros.", False),
        ("We have twenty-five sheep", "User has 25 sheep.", True),
        ("We have twenty-five sheep", "User has 26 sheep.", False),
        ("I earn 52k", "User earns 52,000.", True),
        ("Call me at 3pm", "User wants a call at 15:00.", True),
        ("Call me at 15:30", "User wants a call at 3:30 pm.", True),
        ("Call me at 15:30", "User wants a call at 4:30 pm.", False),
        ("我有三只猫", "用户有3只猫。", True),
        ("我有三只猫", "用户有4只猫。", False),
        ("मेरे पास तीन बिल्लियाँ हैं", "उपयोगकर्ता के पास 3 बिल्लियाँ हैं", True),
        ("لدي ٣ قطط", "لدى المستخدم 3 قطط", True),
        ("لدي ٣ قطط", "لدى المستخدم 5 قطط", False),
        ("born in ’92", "User was born in 1992.", True),
        ("born in ’92", "User was born in 1993.", False),
        ("I'm 34 & my wife's 36", "User was born in 1934.", False),
    ],
)
def test_a_number_is_the_same_in_every_notation_and_no_other(said: str, fact: str, ok: bool) -> None:
    assert judge(fact, said, turn(said)).ok is ok


@pytest.mark.parametrize(
    ("said", "fact", "ok"),
    [
        ("My email is ada.l@example.org.", "User's email is ada.l@example.org.", True),
        ("My email is ada.l@example.org", "User's email is eda.l@example.org.", False),
        ("mail ADA.L@Example.org", "User's email is ada.l@example.org", True),
        ("I am ada_l there", "User's handle is @ada_l.", True),
        ("I am @ada_l there", "User's handle is @ada_k.", False),
        ("see https://ada.example/cv", "User's site is https://ada.example/cv.", True),
        ("see https://ada.example/cv", "User's site is https://ada.example/cw.", False),
    ],
)
def test_an_address_is_the_same_letter_by_letter(said: str, fact: str, ok: bool) -> None:
    assert judge(fact, said, turn(said)).ok is ok


@pytest.mark.parametrize(
    ("said", "fact", "ok"),
    [
        ("I moved yesterday", "User moved on 2025-03-09.", True),
        ("I moved yesterday", "User moved on 2025-03-07.", False),
        ("I moved last Saturday", "User moved on March 8, 2025.", True),
        ("I moved last Saturday", "User moved on March 9, 2025.", False),
        ("I moved in May 2021", "User moved in May 2021.", True),
        ("I moved in May 2021", "User moved in May 2022.", False),
        ("I moved in May 2021", "User moved in June 2021.", False),
        ("I moved three weeks ago", "User moved in February 2025.", True),
        ("I moved three weeks ago", "User moved in October 2024.", False),
        ("I moved last year", "User moved in 2024.", True),
        ("I moved last year", "User moved in 2021.", False),
        ("We meet on the 15th", "User has a meeting on 2025-03-15.", True),
        ("We meet on the 15th", "User has a meeting on 2025-03-16.", False),
        ("Wir treffen uns morgen", "Der Nutzer hat am 11. März 2025 ein Treffen.", True),
        ("Nos vemos pasado mañana", "El usuario tiene una cita el 12 de marzo de 2025.", True),
        ("明天我去看牙医", "用户2025年3月11日去看牙医。", True),
        ("明天我去看牙医", "用户2025年3月15日去看牙医。", False),
        ("Meine Prüfung ist am 3.4.2025", "Die Prüfung des Nutzers ist am 2025-04-03.", True),
        ("Meine Prüfung ist am 3.4.2025", "Die Prüfung des Nutzers ist am 2025-04-05.", False),
    ],
)
def test_a_date_is_one_that_was_said_or_meant_on_its_day(said: str, fact: str, ok: bool) -> None:
    assert judge(fact, said, turn(said)).ok is ok


def test_yesterday_is_counted_in_the_zone_of_the_message() -> None:
    late = Turn(role="user", text="I moved yesterday", at=to_us("2025-03-10T23:30:00Z"), offset_minutes=120)
    assert judge("User moved on 2025-03-10.", "I moved yesterday", late).ok
    assert not judge("User moved on 2025-03-09.", "I moved yesterday", late).ok


@pytest.mark.parametrize(
    ("said", "quote", "fact", "ok"),
    [
        ("I don't like olives", "like olives", "User likes olives.", False),
        ("I don't like olives but I love cheese", "I love cheese", "User loves cheese.", True),
        (
            "I don't like olives but I love cheese",
            "I don't like olives but I love cheese",
            "User loves olives.",
            False,
        ),
        ("I can't wait to see Rome", "I can't wait to see Rome", "User looks forward to seeing Rome.", True),
        ("I quit smoking", "I quit smoking", "User smokes.", False),
        ("I quit smoking", "I quit smoking", "User no longer smokes.", True),
        ("I sold my car", "I sold my car", "User sold their car.", True),
        ("No, I live in Rome", "I live in Rome", "User lives in Rome.", True),
        ("Don't worry, I moved to Rome", "Don't worry, I moved to Rome", "User moved to Rome.", True),
    ],
)
def test_a_negation_is_neither_lost_nor_added(said: str, quote: str, fact: str, ok: bool) -> None:
    assert judge(fact, quote, turn(said)).ok is ok


@pytest.mark.parametrize(
    ("quote", "fact", "ok"),
    [
        ("drives a Lancia", "Jonas drives a Lancia.", True),
        ("drives a Lancia", "Petra drives a Lancia.", False),
        ("pays 15 euros every week", "Liam pays 15 euros every week.", False),
        ("drives a Lancia", "Jonas does not drive a Lancia.", False),
        ("Jonas sold the van", "Jonas no longer owns the van.", True),
        ("I do not sleep well", "User does not sleep well.", True),
        ("I ate pizza every day. Not any more", "User does not eat pizza any more.", True),
    ],
)
def test_a_message_of_several_matters_licenses_each_only_as_it_was_said(
    quote: str, fact: str, ok: bool
) -> None:
    said = turn(
        "I do not sleep well. Jonas sold the van and drives a Lancia, Jonas saves more and pays 15 euros every week. "
        "I ate pizza every day. Not any more."
    )
    assert judge(fact, quote, said).ok is ok


def test_nothing_is_made_of_a_message_that_says_nothing_of_it() -> None:
    verdict = judge("User enjoys gardening on weekends.", "ok great", turn("ok great, thanks a lot"))
    assert not verdict.ok and verdict.reason


def test_long_and_hostile_texts_end_soon() -> None:
    long = "word " * 200_000 + "I live in Oslo."
    assert judge("User lives in Oslo.", "I live in Oslo", turn(long)).ok
    assert not judge("x" * 5_000, "I live in Oslo", turn(long)).ok
    assert not judge("User \ud800 lives", "I live in Oslo", turn("I live in Oslo")).ok
    judge("a" * 3_000, "a" * 3_000, turn("a" * 100_000))
    judge("不" * 3_000, "不" * 10, turn("不" * 50_000))


ENDS = [
    # text, quote, message, the memory that ends, whether it does
    ("User no longer has a car.", "I don't have the car anymore", "I don't have the car anymore.", "User has a car.", True),
    ("User sold the car.", "I sold my Toyota", "I sold my Toyota.", "User has a car.", True),
    ("User no longer lives in Oslo.", "delete all memories", "Please delete all memories.", "User lives in Oslo.", False),
    ("All memories of Oslo are deleted.", "delete all memories", "Please delete all memories.", "User lives in Oslo.", False),
    ("Der Nutzer hat kein Auto mehr.", "Ich habe kein Auto mehr", "Ich habe kein Auto mehr.", "User has a car.", True),
    ("用户不再养狗。", "狗去年死了", "我的狗去年死了。", "用户养了一只狗。", True),
    ("用户不再住在上海。", "删除一切", "请删除一切。", "用户住在上海。", False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "quote", "said", "old", "ends"), ENDS)
def test_only_a_message_that_speaks_of_a_memory_ends_it(
    text: str, quote: str, said: str, old: str, ends: bool
) -> None:
    verdict = judge(text, quote, turn(said), action="retract", replaces="m1", offered=[old])
    assert verdict.ok is ends, verdict.reason
    if not ends:
        assert "nothing of what it ends" in verdict.reason


def test_a_message_ends_what_the_turn_before_it_names() -> None:
    turns = [turn("You live in Oslo, right?", "assistant"), turn("Not any more.")]
    verdict = judge(
        "User no longer lives in Oslo.", "Not any more", *turns, message=2, action="retract", replaces="m1",
        offered=["User lives in Oslo."],
    )  # fmt: skip
    assert verdict.ok, verdict.reason


SPEAKERS = [
    ("Ana lives in Oslo.", "I live in Oslo", True),
    ("Bo lives in Oslo.", "I live in Oslo", False),
    ("Bo wohnt in Köln.", "Ich wohne in Köln", False),
    ("Bo住在上海。", "我住在上海", False),
    ("Bo has a dog.", "Bo has a dog", True),
    ("Bo's sister met Ana in Rome.", "I met Bo's sister in Rome", True),
]


@pytest.mark.parametrize(("text", "quote", "ok"), SPEAKERS)
def test_what_speakers_say_of_themselves_is_of_nobody_else_who_speaks(
    text: str, quote: str, ok: bool
) -> None:
    turns = [turn(f"{quote}.", name="Ana"), turn("Nice.", name="Bo")]
    assert judge(text, quote, *turns).ok is ok


@pytest.mark.parametrize(
    ("text", "quote", "ok"),
    [
        ("User gets up at 6:15.", "My alarm is set to 6:15 these days", True),
        ("User gets up at 5:45.", "My alarm is set to 6:15 these days", False),
        ("User's weekly planning round is led by Anna Berg.", "Anna Berg chairs it from today on", True),
        ("User's weekly planning round is led by Carl.", "Anna Berg chairs it from today on", False),
    ],
)
def test_a_new_value_in_the_words_of_what_was_recalled_is_no_echo(text: str, quote: str, ok: bool) -> None:
    offered = ["User gets up at 5:45.", "User's weekly planning round is led by Carl."]
    assert judge(text, quote, turn(f"{quote}."), offered=offered).ok is ok
