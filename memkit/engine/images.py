"""Images in turns, as words, where the model can see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..extraction.messages import InputMessage
from .core import Engine, Meter


async def described(
    engine: Engine, llm: Any, items: Sequence[InputMessage], meter: Meter
) -> list[InputMessage]:
    """Return the turns with their images put into words; one model call for each turn that has any."""
    if not any(item.has_images for item in items):
        return list(items)
    from ..extraction.vision import describe_images

    seen, usage = await describe_images(engine.rt, llm, items)
    meter.count(usage)
    return seen
