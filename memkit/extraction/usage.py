"""What one answer of a model cost."""

from __future__ import annotations

from memkit.llms.base import Completion
from memkit.types import Usage


def usage_of(completion: Completion) -> Usage:
    """Return one call with the tokens that the vendor counted."""
    tokens = completion.usage
    return Usage(
        llm_calls=1,
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cache_read_tokens=tokens.cache_read_tokens,
        cache_write_tokens=tokens.cache_write_tokens,
    )
