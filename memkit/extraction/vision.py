"""Images in messages become words, where the model can see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memkit.extraction.messages import IMAGE_BLOCKS, InputMessage
from memkit.extraction.usage import usage_of
from memkit.llms.base import LLM
from memkit.prompts import describe_image
from memkit.runtime import Runtime
from memkit.types import Usage

_UNSEEN = "[image]"


async def describe_images(
    rt: Runtime, llm: LLM, messages: Sequence[InputMessage]
) -> tuple[list[InputMessage], Usage]:
    """Return the messages with a description of their images added to their words, one call for each that has any.

    The blocks stay as they came. Without `llm.vision`, or where the model says nothing, the words say that there
    was an image, and the message's metadata why it is not described.

    Raises:
        BackendError: The model failed.
    """
    out: list[InputMessage] = []
    usage = Usage()
    for message in messages:
        if not message.has_images or isinstance(message.content, str):
            out.append(message)
            continue
        if not getattr(llm, "vision", False):
            out.append(_unseen(message, f"{getattr(llm, 'name', type(llm).__name__)} does not see images"))
            continue
        images = [block for block in message.content if block.get("type") in IMAGE_BLOCKS]
        request = describe_image.build(message.text, images, detail=getattr(llm, "vision_details", "auto"))
        completion = await rt.call(llm.generate, getattr(llm, "agenerate", None), request)
        usage = usage.plus(usage_of(completion))
        words = completion.text.strip()
        out.append(
            replace(message, text=_joined(message.text, f"[image: {words}]"))
            if words
            else _unseen(message, "the model said nothing")
        )
    return out, usage


def _unseen(message: InputMessage, why: str) -> InputMessage:
    return replace(
        message,
        text=_joined(message.text, _UNSEEN),
        metadata={**message.metadata, "image_not_described": why},
    )


def _joined(text: str, words: str) -> str:
    return f"{text}\n{words}" if text.strip() else words
