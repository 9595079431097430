"""The conformance suite of rerankers: subclass it and say how to make a reranker.

```python
class TestMyReranker(RerankerSuite):
    def make_reranker(self):
        return MyReranker()
```
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Any, Final

import pytest

from memkit.errors import BackendError
from memkit.rerankers.base import Reranker, patience
from memkit.testing.laws import Driver, Laws, Mode

__all__ = ["RerankerSuite"]

QUERY: Final = "green tea from Kyoto"
TEXTS: Final[Sequence[str]] = (
    "the invoice is due on Friday",
    "Bob moved to Lisbon in March",
    QUERY,
    "a dog barks at night",
    "Ann drinks green tea",
)
HOSTILE_TEXTS: Final[Sequence[str]] = (
    "", " ", "\n\t", "\u0000", "👩\u200d👩\u200d👧", "日本語のテキスト", "\u202e", "!?…", "0", "word " * 3000,
    "<|endoftext|>",
)  # fmt: skip
Pairs = list[tuple[int, float]]


class RerankerSuite(Laws):
    """The laws of a reranker; each runs through the sync and through the async way of calling."""

    tolerance: float = 1e-4
    """How far two scores of one text may be apart; some services are not exact."""

    def make_reranker(self) -> Reranker:
        """Return a reranker."""
        raise NotImplementedError

    def make_down_reranker(self) -> Reranker | None:
        """Return one whose model or service fails, or None where that cannot happen."""

    @pytest.fixture
    def reranker(self, mode: Mode) -> Generator[Driver]:
        """The reranker under test."""
        driver = Driver(self.make_reranker(), mode)
        yield driver
        if hasattr(driver.backend, "close"):
            driver.call("close")
        driver.close()

    @pytest.mark.parametrize("limit", [1, 2, len(TEXTS), 100])
    def test_pairs_are_places_with_scores_best_first(self, reranker: Driver, limit: int) -> None:
        """At most `limit` pairs come back: an index into the texts, each once, and a score in 0 to 1 that never rises.

        Troubleshooting: a model's logits become probabilities by `1 / (1 + exp(-x))`; sort before you cut.
        """
        pairs: Pairs = reranker.call("rerank", QUERY, TEXTS, limit)
        places, scores = [place for place, _ in pairs], [score for _, score in pairs]
        assert 0 < len(pairs) <= limit
        assert len(set(places)) == len(places) and set(places) <= set(range(len(TEXTS)))
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)

    def test_what_says_the_query_itself_is_first(self, reranker: Driver) -> None:
        """A text that is the query stands before texts about something else, wherever it stood among them.

        Troubleshooting: hand the query and the texts over in the model's order, and map its answer back to places.
        """
        for turn in range(len(TEXTS)):
            texts = [*TEXTS[turn:], *TEXTS[:turn]]
            pairs: Pairs = reranker.call("rerank", QUERY, texts, len(texts))
            assert texts[pairs[0][0]] == QUERY

    def test_a_score_belongs_to_a_text_and_not_to_its_place(self, reranker: Driver) -> None:
        """The same texts in another order, or a second time, get the same scores.

        Troubleshooting: sort a service's answer by its index; let padding change no score.
        """
        first = _by_text(TEXTS, reranker.call("rerank", QUERY, TEXTS, len(TEXTS)))
        for texts in (TEXTS[::-1], TEXTS):
            again = _by_text(texts, reranker.call("rerank", QUERY, texts, len(texts)))
            assert again == pytest.approx(first, abs=self.tolerance)

    def test_equal_texts_keep_their_own_places(self, reranker: Driver) -> None:
        """Of texts that are the same, each has its own index.

        Troubleshooting: send the index along; a text is no key.
        """
        texts = [QUERY, TEXTS[0], QUERY, QUERY]
        pairs: Pairs = reranker.call("rerank", QUERY, texts, len(texts))
        assert sorted(place for place, _ in pairs[:3]) == [0, 2, 3]

    def test_no_texts_are_no_pairs(self, reranker: Driver) -> None:
        """Nothing to order is nothing.

        Troubleshooting: answer before asking the model.
        """
        assert list(reranker.call("rerank", QUERY, [], 5)) == []

    @pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: f"text{HOSTILE_TEXTS.index(text)}")
    def test_any_text_can_be_ordered_and_asked(self, reranker: Driver, text: str) -> None:
        """Blank, very long and odd texts are ordered with the others, and may be the query.

        Troubleshooting: cut what is too long; give what a model refuses a score of 0.
        """
        for query in (QUERY, text):
            pairs: Pairs = reranker.call("rerank", query, [text, *TEXTS], 10)
            assert {place for place, _ in pairs} <= set(range(len(TEXTS) + 1))
            assert all(math.isfinite(score) and 0 <= score <= 1 for _, score in pairs)

    def test_callers_do_not_disturb_each_other(self, reranker: Driver) -> None:
        """Calls from 8 threads or tasks get the scores that they get alone.

        Troubleshooting: no shared buffers.
        """
        alone = {query: _by_text(TEXTS, reranker.call("rerank", query, TEXTS, 5)) for query in TEXTS}
        asked = [*TEXTS] * 4
        answers: list[Any] = reranker.together([("rerank", (query, TEXTS, 5)) for query in asked])
        for query, pairs in zip(asked, answers, strict=True):
            assert _by_text(TEXTS, pairs) == pytest.approx(alone[query], abs=self.tolerance)

    def test_a_failure_is_one_of_our_errors(self, mode: Mode) -> None:
        """A model or service that fails raises a `BackendError` with its cause, and results keep their own order.

        Troubleshooting: translate the vendor's exceptions in one place.
        """
        down = self.make_down_reranker()
        if down is None:
            pytest.skip(f"{type(self).__name__} has no reranker that fails")
        driver = Driver(down, mode)
        try:
            with pytest.raises(BackendError) as caught:
                driver.call("rerank", QUERY, TEXTS, 3)
            assert caught.value.__cause__ is not None
        finally:
            driver.close()

    def test_it_says_its_name_and_its_patience(self) -> None:
        """`name` is a text for messages, and `timeout_s`, where there is one, seconds above 0 or None.

        Troubleshooting: build the name from provider and model alone, without secrets.
        """
        made = self.make_reranker()
        seconds = patience(made)
        assert isinstance(made, Reranker) and made.name.strip() == made.name != ""
        assert seconds is None or 0 < seconds < math.inf


def _by_text(texts: Sequence[str], pairs: Pairs) -> dict[str, float]:
    return {texts[place]: score for place, score in pairs}
