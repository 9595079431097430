"""What says how much is recalled, checked where it is given: a recall that fails later would only be logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memkit.errors import ConfigurationError
from memkit.filters import parse_filter


def check_recall(
    *, threshold: object = None, filters: Mapping[str, Any] | None = None, **numbers: object
) -> None:
    """Raise where memories cannot be asked for like this.

    Raises:
        ConfigurationError: A number is no whole number above 0, or the threshold is not in [0, 1].
        FilterError: The filters are none of memkit's.
    """
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigurationError(f"`{name}` must be a whole number of at least 1, not {value!r}.")
    if threshold is not None and (
        isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1
    ):
        raise ConfigurationError(f"`threshold` must be a number from 0 to 1, not {threshold!r}.")
    parse_filter(filters)
