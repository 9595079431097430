"""The conformance suite of ledgers: subclass it and say how to make one.

```python
class TestMyLedger(LedgerSuite):
    def make_ledger(self, tmp_path):
        return MyLedger(tmp_path / "mine", tokenize=tokens)
```
"""

from __future__ import annotations

from memkit.testing.ledger_data import tokens
from memkit.testing.ledger_graph import LedgerGraphLaws
from memkit.testing.ledger_items import LedgerItems
from memkit.testing.ledger_model import LedgerModelLaws
from memkit.testing.ledger_reads import LedgerReads
from memkit.testing.ledger_search import LedgerSearch
from memkit.testing.ledger_turns import LedgerTurns
from memkit.testing.ledger_work import LedgerWork
from memkit.testing.ledger_writes import LedgerWrites

__all__ = ["LedgerSuite", "tokens"]


class LedgerSuite(
    LedgerWrites,
    LedgerReads,
    LedgerSearch,
    LedgerTurns,
    LedgerWork,
    LedgerItems,
    LedgerGraphLaws,
    LedgerModelLaws,
):
    """The laws of a ledger; each runs through the sync and through the async way of calling."""
