"""The conformance suite of embedders: subclass it and say how to make an embedder.

```python
class TestMyEmbedder(EmbedderSuite):
    def make_embedder(self):
        return MyEmbedder()
```
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from memkit.embedders.base import Embedder
from memkit.testing.laws import Driver, Laws, Mode

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["EmbedderSuite"]

TEXTS: Final[Sequence[str]] = (
    "Alice likes spicy ramen",
    "Bob moved to Lisbon in March 2024",
    "the invoice is due on Friday",
    "日本語のテキスト",
    "x",
)
HOSTILE_TEXTS: Final[Sequence[str]] = (
    " ", "\n\t", "\u0000", "👩\u200d👩\u200d👧", "e\u0301 é", "\u202e", "!?…", "0",
    "a" * 5000, "word " * 3000, "<|endoftext|>",
)  # fmt: skip


class EmbedderSuite(Laws):
    """The laws of an embedder; each runs through the sync and through the async way of calling."""

    tolerance: float = 1e-4
    """How far two rows of one text may be apart, per column; some services are not exact."""

    def make_embedder(self) -> Embedder:
        """Return an embedder; two of them are equal."""
        raise NotImplementedError

    @pytest.fixture
    def embedder(self, mode: Mode) -> Generator[Driver]:
        """The embedder under test."""
        driver = Driver(self.make_embedder(), mode)
        yield driver
        if hasattr(driver.backend, "close"):
            driver.call("close")
        driver.close()

    def test_a_row_has_unit_length(self, embedder: Driver) -> None:
        """`embed` returns one float32 row of length 1 per text, with `dim` columns.

        Troubleshooting: divide each row by its norm.
        """
        rows = self.rows(embedder, TEXTS)
        assert rows.dtype == np.float32
        assert rows.shape == (len(TEXTS), getattr(embedder.backend, "dim"))  # noqa: B009
        assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-3)

    def test_equal_texts_get_equal_rows(self, embedder: Driver) -> None:
        """The same text gets the same row, now, later, and from another embedder of the same settings.

        Troubleshooting: no randomness, and no state that grows.
        """
        rows = self.rows(embedder, [*TEXTS, *TEXTS])
        assert rows[: len(TEXTS)] == pytest.approx(rows[len(TEXTS) :], abs=self.tolerance)
        other = np.asarray(self.make_embedder().embed(TEXTS))
        assert other == pytest.approx(rows[: len(TEXTS)], abs=self.tolerance)

    def test_a_batch_is_its_texts_in_order(self, embedder: Driver) -> None:
        """Rows of a batch are those of its texts alone, in the order given; different texts differ.

        Troubleshooting: sort a service's answer by its index, and let padding not change a row.
        """
        batch = self.rows(embedder, TEXTS)
        for at, text in enumerate(TEXTS):
            assert self.rows(embedder, [text])[0] == pytest.approx(batch[at], abs=max(self.tolerance, 1e-4))
        backwards = self.rows(embedder, TEXTS[::-1])
        assert backwards[::-1] == pytest.approx(batch, abs=max(self.tolerance, 1e-4))
        assert np.max(np.triu(batch @ batch.T, 1)) < 0.999

    def test_large_batches_are_split(self, embedder: Driver) -> None:
        """Three hundred texts go in one call.

        Troubleshooting: split to what the model or the service takes at once.
        """
        rows = self.rows(embedder, [f"{text} {at}" for at in range(60) for text in TEXTS])
        assert rows.shape[0] == 300

    def test_no_texts_are_no_rows(self, embedder: Driver) -> None:
        """Once `dim` is known, an empty list gives an array of shape (0, dim).

        Troubleshooting: answer before asking the model.
        """
        columns = getattr(embedder.backend, "dim")  # noqa: B009
        assert self.rows(embedder, []).shape == (0, columns)

    def test_both_purposes_are_known(self, embedder: Driver) -> None:
        """`purpose` is "document" or "query", and rows of both can be compared.

        Troubleshooting: accept the argument even where the model makes no difference.
        """
        documents = self.rows(embedder, TEXTS, purpose="document")
        queries = self.rows(embedder, TEXTS, purpose="query")
        assert queries.shape == documents.shape
        assert (queries @ documents.T).argmax(axis=1).tolist() == list(range(len(TEXTS)))

    def test_the_identity_is_stable(self, embedder: Driver) -> None:
        """`identity` is a non-empty text without secrets, equal for equal settings, before and after use.

        Troubleshooting: build it from the name, the model and the dimension alone.
        """
        before = getattr(embedder.backend, "identity")  # noqa: B009
        self.rows(embedder, TEXTS)
        assert isinstance(before, str) and before.strip() == before != ""
        assert getattr(embedder.backend, "identity") == before == self.make_embedder().identity  # noqa: B009

    @pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: f"text{HOSTILE_TEXTS.index(text)}")
    def test_any_text_gets_a_row(self, embedder: Driver, text: str) -> None:
        """Blank, very long and odd texts get a finite unit row.

        Troubleshooting: cut what is too long, and give a text without words a row of its own.
        """
        row = self.rows(embedder, [text])[0]
        assert np.isfinite(row).all()
        assert float(np.linalg.norm(row)) == pytest.approx(1.0, abs=1e-3)

    def test_callers_do_not_disturb_each_other(self, embedder: Driver) -> None:
        """Texts embedded from 8 threads or tasks get the rows they get alone.

        Troubleshooting: no shared buffers.
        """
        alone = self.rows(embedder, TEXTS)
        together: list[Any] = embedder.together([("embed", ([text],)) for text in TEXTS * 8])
        for at, rows in enumerate(together):
            assert rows[0] == pytest.approx(alone[at % len(TEXTS)], abs=max(self.tolerance, 1e-4))

    def rows(self, embedder: Driver, texts: Sequence[str], **purpose: str) -> npt.NDArray[np.float32]:
        """Embed in the mode of the test."""
        return embedder.call("embed", texts, **purpose)
