"""Importing transcripts: in pieces that are recognised when the same file comes again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigurationError
from ..runtime import run_inline
from ..transcripts import MessageDict, Transcript

if TYPE_CHECKING:
    from ..memory import Memory

PIECE: Final = 500
"""Messages in one transaction."""
INFERRED_PIECE: Final = 50
"""Messages of one run in one `add` with a model: little is asked again after an interruption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationReport:
    """What an import of a transcript did, or would do."""

    format: str
    dry_run: bool = False
    infer: bool = False
    messages: int = 0
    """Messages in the file that can be stored."""
    runs: int = 0
    roles: dict[str, int] = field(default_factory=dict[str, int])
    first: str | None = None
    """When the first message was said; None where the file does not say."""
    last: str | None = None
    already: int = 0
    """Messages of pieces that were imported before."""
    events: dict[str, int] = field(default_factory=dict[str, int])
    """How many memories were added, superseded, and so on."""
    reasons: dict[str, int] = field(default_factory=dict[str, int])
    """Why messages made no memory."""
    blank: int = 0
    hidden: int = 0
    operations: list[str] = field(default_factory=list[str])
    pending: list[str] = field(default_factory=list[str])

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def import_transcript(
    memory: Memory,
    transcript: Transcript,
    scope: Mapping[str, str],
    *,
    infer: bool = False,
    dry_run: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> ConversationReport:
    """Store a transcript piece by piece, each one whole or not at all; pieces imported before are passed over.

    Messages without an id get one made from their content, so that a transcript that has grown stores only what is
    new. Everything is checked before anything is written.

    Args:
        memory: Where to.
        transcript: As `memkit.transcripts.load_transcript` returns it.
        scope: `user_id, agent_id, run_id`; a `run_id` replaces those of the messages.
        infer: True extracts facts with the model, piece by piece.
        dry_run: True writes nothing and says what would be stored.
        advance: Told how many messages are done.

    Raises:
        InvalidInputError: A message has the wrong shape; it names the index and the key.
        ConfigurationError: `infer` without a model: the turns would never be extracted later.
    """
    from ..engine.restore import done_before
    from ..extraction.messages import normalise
    from ..scope import write_scope

    owner = write_scope(scope.get("user_id"), scope.get("agent_id"), scope.get("run_id")).owner
    messages = with_ids(transcript.messages, scope.get("run_id"))
    checked = normalise(messages)
    dates = [item.created_at for item in checked if item.created_at is not None]
    engine = memory._engine  # pyright: ignore[reportPrivateUsage]  # keys and model can only be asked for there
    if infer and engine.parts.llm() is None:
        raise ConfigurationError(
            "There is no model to extract facts with. Set OPENAI_API_KEY or ANTHROPIC_API_KEY, or import without "
            "`infer`."
        )
    already = 0
    events: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    operations: list[str] = []
    pending: list[str] = []
    for piece in _pieces(messages, by_run=infer):
        key = _key(piece, scope, infer=infer)
        if run_inline(done_before(engine, owner, key)):
            already += len(piece)
        elif not dry_run:
            result = memory.bind(**scope).add(piece, infer=infer, idempotency_key=key)
            events.update(outcome.event for outcome in result.results)
            reasons.update(outcome.reason for outcome in result.results if outcome.reason)
            operations.append(result.operation_id)
            pending = result.pending
        advance(len(piece))
    return ConversationReport(
        format=transcript.format,
        dry_run=dry_run,
        infer=infer,
        messages=len(messages),
        runs=len({item.run_id for item in checked} - {None}),
        roles=dict(Counter(item.role or "text" for item in checked)),
        first=_iso(min(dates)) if dates else None,
        last=_iso(max(dates)) if dates else None,
        already=already,
        events=dict(events),
        reasons=dict(reasons),
        blank=transcript.blank,
        hidden=transcript.hidden,
        operations=operations,
        pending=pending,
    )


def with_ids(messages: Sequence[MessageDict], run_id: str | None = None) -> list[MessageDict]:
    """Return the messages with an id each; the same transcript gives the same ids, also when it has grown.

    A message's own id is kept. Otherwise a dated one is known by run, speaker, words and time, and an undated one
    also by everything before it, so that "Thanks!" in two conversations is two messages.
    """
    chains: dict[object, str] = {}
    counts: Counter[str] = Counter()
    out: list[MessageDict] = []
    for message in messages:
        message = dict(message)
        if run_id is not None:
            message.pop("run_id", None)
        if message.get("id") is None:
            run = message.get("run_id")
            parts = [
                run,
                message.get("role"),
                message.get("name"),
                message.get("content"),
                message.get("created_at"),
            ]
            if message.get("created_at") is None:
                chains[run] = mark = _digest([chains.get(run), *parts])
            else:
                mark = _digest(parts)
            counts[mark] += 1
            message["id"] = f"import-{mark}" if counts[mark] == 1 else f"import-{mark}-{counts[mark]}"
        out.append(message)
    return out


def _pieces(messages: Sequence[MessageDict], *, by_run: bool) -> Iterator[list[MessageDict]]:
    """Yield the messages in pieces that stay the same when more come after them; with `by_run` of one run each."""
    size = INFERRED_PIECE if by_run else PIECE
    groups: dict[object, list[MessageDict]] = {}
    for message in messages:
        groups.setdefault(message.get("run_id") if by_run else None, []).append(message)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _key(piece: Sequence[MessageDict], scope: Mapping[str, str], *, infer: bool) -> str:
    return f"import:{_digest([piece, dict(scope), infer])}"


def _digest(value: object) -> str:
    data = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return blake2b(data.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _iso(us: int) -> str:
    from ..clock import to_iso

    return to_iso(us)
