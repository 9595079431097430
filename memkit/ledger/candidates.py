"""Which records hold most of the words of a question."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def best(held: Sequence[npt.NDArray[np.int64]], size: int, limit: int) -> list[int]:
    """Return the rids that hold most of some tokens, best first, equal ones by the highest rid.

    Args:
        held: For each token the rids that hold it.
        size: How many records there are; a token counts by its inverse document frequency among them.
        limit: How many to return at most.
    """
    weights = [float(np.log1p((max(size, len(rids)) - len(rids) + 0.5) / (len(rids) + 0.5))) for rids in held]
    rids, places = np.unique(np.concatenate(held), return_inverse=True)
    each = np.repeat(np.array(weights), [len(one_token) for one_token in held])
    scores = np.bincount(places, weights=each, minlength=len(rids))
    order = np.lexsort((-rids, -scores))[:limit]
    return [int(rid) for rid in rids[order]]
