"""A run of messages becomes one procedure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from memkit.clock import now_us
from memkit.errors import ExtractionError, InvalidInputError
from memkit.extraction.messages import InputMessage
from memkit.extraction.usage import usage_of
from memkit.extraction.windows import turn_of
from memkit.llms.base import LLM, Completion
from memkit.llms.parsing import plain_text
from memkit.prompts import procedure as prompts
from memkit.prompts.extract import Turn
from memkit.runtime import Runtime
from memkit.types import Usage

RUN_CHARS: Final = 120_000
"""Characters of one run that the model is shown; of a longer one, beginning and end."""
_TURN_CHARS: Final = 8_000


async def summarise_procedure(
    rt: Runtime,
    llm: LLM,
    messages: Sequence[InputMessage],
    *,
    instructions: str | None = None,
    prompt: str | None = None,
    now: int | None = None,
) -> tuple[str, Usage]:
    """Return how a run is done, as the text of a memory, and what it cost: one call, two where it was cut off.

    Turns of tools count; system prompts and recalled text do not.

    Raises:
        InvalidInputError: The run holds nothing to read.
        ExtractionError: The model gave no whole answer, twice.
        BackendError: The model failed.
    """
    at = now_us() if now is None else now
    turns = [turn_of(message, at) for message in messages if message.role != "system"]
    turns = _shortened([turn for turn in turns if turn.text.strip()])
    if not turns:
        raise InvalidInputError("There is nothing to summarise into a procedure: the messages hold no words.")
    request = prompts.build(turns, instructions=instructions, prompt=prompt)
    usage, problem, completion = Usage(), "", Completion(text="")
    for _ in range(2):
        completion = await rt.call(llm.generate, getattr(llm, "agenerate", None), request)
        usage = usage.plus(usage_of(completion))
        text = plain_text(completion.text)
        if text and completion.finish_reason not in ("length", "content_filter"):
            return text, usage
        problem = _PROBLEMS.get(completion.finish_reason or "", "it was empty")
        request = [
            *request,
            {"role": "user", "content": f"There is no whole answer yet: {problem}. Try again, shorter."},
        ]
    raise ExtractionError(
        f"The model {getattr(llm, 'name', type(llm).__name__)!r} gave no procedure, twice: {problem}. "
        "The messages are kept; `repair()` or the same call again tries once more.",
        raw_output=completion.text,
        usage=usage,
    )


_PROBLEMS: Final = {
    "length": "it was cut off at the token limit",
    "content_filter": "it was stopped by the content filter",
}


def _shortened(turns: Sequence[Turn]) -> list[Turn]:
    """Cut long turns in the middle, and leave out middle turns of a run that is too long."""
    cut = [
        turn
        if len(turn.text) <= _TURN_CHARS
        else Turn(
            role=turn.role,
            text=f"{turn.text[: _TURN_CHARS // 2]}\n[...]\n{turn.text[-_TURN_CHARS // 2 :]}",
            at=turn.at,
            offset_minutes=turn.offset_minutes,
            name=turn.name,
        )
        for turn in turns
    ]
    if sum(len(turn.text) for turn in cut) <= RUN_CHARS:
        return cut
    head: list[Turn] = []
    tail: list[Turn] = []
    room = RUN_CHARS
    left, right = 0, len(cut) - 1
    while left <= right:
        front = len(head) <= len(tail)
        turn = cut[left] if front else cut[right]
        if len(turn.text) > room:
            break
        room -= len(turn.text)
        (head if front else tail).append(turn)
        left, right = (left + 1, right) if front else (left, right - 1)
    return [*head, *reversed(tail)]
