"""Numbers, units, dates, feelings and endings that a fact words in another way, and those that it turns round."""

from __future__ import annotations

import pytest

from memkit import Memory
from memkit.clock import to_us
from memkit.extraction.verify import verify
from memkit.llms.fake import FakeLLM
from memkit.prompts.extract import ExtractedMemory, Turn

AT = to_us("2025-03-10T18:00:00Z")


def passes(said: str, text: str) -> bool:
    memory = ExtractedMemory(text=text, quote=said, message=1)
    return verify(memory, [Turn(role="user", text=said, at=AT)]).ok


SAME = [
    ("We keep thirty-one bees in the box.", "User keeps 31 bees in the box."),
    ("We keep 64 hens.", "User keeps sixty-four hens."),
    ("Sie ist siebenundvierzig.", "Sie ist 47 Jahre alt."),
    ("Tengo cuarenta y tres macetas.", "El usuario tiene 43 macetas."),
    ("The barn cost 3.5 million.", "The barn cost 3,500,000."),
    ("The class begins at half past nine.", "The class begins at 9:30."),
    ("The desk is 1.20 m wide.", "The desk is 120 cm wide."),
    ("The course lasts two weeks.", "The course lasts 14 days."),
    ("I had 6 hens, sold 2, so 4 are left.", "User has 4 hens."),
    ("Der Zug geht um 7.35 Uhr.", "Der Zug geht um 7:35 Uhr."),
    ("The talk is at ten to nine.", "The talk is at 8:50."),
    ("切符は3万2千円です。", "切符は32,000円である。"),
    ("I adore tea but I hate lemonade.", "User does not like lemonade."),
    ("I used to row in Ghent, now I row in Lille.", "User no longer rows in Ghent."),
    ("I flunked it: I failed the sailing exam.", "User did not pass the sailing exam."),
    ("My uncle lives in Quito with Berta.", "Berta lives in Quito."),
    ("The talk is not on Monday but on Thursday at noon.", "The talk is on Thursday at noon."),
    ("We moved out of Dijon in May.", "User no longer lives in Dijon."),
]  # fmt: skip
OTHER = [
    ("We keep 30 hens.", "User keeps thirty-one hens."),
    ("The parcel weighs 4,5 kilos.", "The parcel weighs 45 kg."),
    ("I rowed 12.5 km.", "User rowed 125 km."),
    ("We keep 6 hens and 4 goats.", "User keeps 4 hens."),
    ("The bag weighs 9 kg.", "The bag weighs 9 lb."),
    ("I lent Berta 60 euros.", "User lent Berta 60 dollars."),
    ("The shop on Elm Road opens at 11.", "The shop on Elm Road opens at 10."),
    ("締め切りは4月12日です。", "締め切りは4月21日である。"),
    ("I adore tea but I hate lemonade.", "User hates tea."),
    ("I adore tea but I hate lemonade.", "User likes lemonade."),
    ("I love opera but Berta can't stand it.", "User dislikes opera."),
    ("I used to row in Ghent, now I row in Lille.", "User still rows in Ghent."),
    ("It used to be tea, but Berta's drink is cocoa now.", "Berta's drink is not cocoa."),
    ("I quit rowing.", "User didn't stop rowing."),
    ("We called off the picnic.", "The picnic was not called off."),
    ("I sold the canoe.", "User did not sell the canoe."),
    ("I turned down the post at Larsen.", "User accepted the post at Larsen."),
    ("Je suis né à Dijon.", "L'utilisateur n'est pas né à Dijon."),
    ("Berta got engaged to Tom.", "Berta got engaged to Jan."),
    ("Berta found the purse.", "Ottokar found the purse."),
    ("My aunt Berta moved to Ghent.", "Ottokar now lives in Ghent."),
]  # fmt: skip


@pytest.mark.parametrize(("said", "text"), SAME)
def test_a_fact_may_word_it_in_another_way(said: str, text: str) -> None:
    assert passes(said, text)


@pytest.mark.parametrize(("said", "text"), OTHER)
def test_a_fact_may_not_turn_it_round(said: str, text: str) -> None:
    assert not passes(said, text)


def test_a_quote_may_put_sentences_together_that_stand_apart() -> None:
    said = "I moved to Ghent in May. It rained all day. My rent is 640 euros."
    whole = "I moved to Ghent in May. My rent is 640 euros."
    for quote, ok in ((whole, True), ("My rent is 640 euros. I moved to Ghent in June.", False)):
        memory = ExtractedMemory(text="User moved to Ghent and pays 640 euros.", quote=quote, message=1)
        assert verify(memory, [Turn(role="user", text=said, at=AT)]).ok is ok


@pytest.mark.parametrize(
    ("given", "since", "told"),
    [
        ("March 8, 2025", "2025-03-08", None),
        ("8. März 2025", "2025-03-08", None),
        ("2025/03/08", "2025-03-08", None),
        ("March 2025", "2025-03-01", None),
        ("last Saturday", "2025-03-10", "valid_from 'last Saturday' is not a date"),
        ("08/03/2025", "2025-03-10", "valid_from '08/03/2025' is not a date"),
    ],
)
def test_a_date_as_a_model_writes_it_is_read_or_its_outcome_tells(
    given: str, since: str, told: str | None
) -> None:
    fact = {"text": "User moved to Ghent.", "quote": "I moved to Ghent", "message": 1, "valid_from": given}
    said = {
        "role": "user",
        "content": "I moved to Ghent last Saturday.",
        "created_at": "2025-03-10T18:00:00Z",
    }
    with Memory(":memory:", llm=FakeLLM([{"memories": [fact], "relations": []}]), embedder="hash") as memory:
        (outcome,) = memory.add(said, user_id="u").results
        (item,) = memory.get_all(user_id="u").results
    assert (item.valid_from.date().isoformat(), outcome.reason) == (since, told)
