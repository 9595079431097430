"""Facts about models that decide which parameters they take; a server's own refusal corrects what is missing here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """What a model takes."""

    reasoning: bool = False
    """Thinks first: no `temperature` or `top_p`, and `max_completion_tokens` in place of `max_tokens`."""
    vision: bool = False
    """Takes images."""


_REASONING: Final = re.compile(r"^(?:o[1-9](?:$|[-.])|gpt-5(?!.*chat)|gpt-[6-9]|codex)")
_VISION: Final = re.compile(
    r"^(?:o[134](?:$|-(?!mini-2024|preview|mini$))|o4|gpt-4o|gpt-4\.[1-9]|gpt-4-turbo|gpt-4-vision|gpt-[5-9]|chatgpt-4o)"
    r"|vision|-vl\b|llava|pixtral|gemma-?3|llama-?4|grok-4|minicpm-v"
)


def profile_of(model: str) -> ModelProfile:
    """Return what is known of a model by its name; a vendor's prefix (`openai/...`) does not matter."""
    name = model.lower().rpartition("/")[2]
    return ModelProfile(
        reasoning=_REASONING.search(name) is not None, vision=_VISION.search(name) is not None
    )
