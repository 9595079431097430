"""What the stock classes need around them when a contract makes them fail."""

from __future__ import annotations

import asyncio
import gc
import warnings


async def end_what_is_left() -> None:
    """Every task that a failed ``gather`` left behind ends here, and what it held open is collected here.

    LlamaIndex's SQL store leaves its connections to the collector; found in the middle of another test, each of
    them is a ``ResourceWarning`` that fails that one.
    """
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
