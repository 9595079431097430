"""Scripted conversations: what is said, what the model answers over the wire, and what becomes of it.

`conversations.json` is a list of cases. A case has `calls`, made one after the other on one memory, and the end state:
`facts` (current, without typed records), `closed`, `records` (fields of the current ones with their kind), `actors`,
`messages`. A call has

- `messages`: as `add` takes them; `{"filler": n}` stands for n long turns that say nothing, `{"long": n, "end": text}`
  for one turn that is longer than a window.
- `replies`: in order, or each `{"when", "unless", "answer"}` for prompts that hold one text and not another. An answer is
  a text or an object; `{"cut": text}` ends at the token limit, `{"refusal": text}`, `{"status": 400}`. In an answer,
  `"replaces": "@text"` is the label under which a memory of that text was offered, and `"message": "$"` the last
  number.
- `outcomes`: one for each result, an event, or an event and a part of its reason after `: `; or `error`, its class.
- `kill`: the step of the ledger's second transaction at which the process is killed, as by `kill -9`.
- `repair`: true makes the call `repair()`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from memkit.testing.anthropic_server import AnthropicServer
from memkit.testing.local_server import LocalServer
from memkit.testing.openai_server import OpenAIServer

Case = Mapping[str, Any]
CASES: list[Case] = json.loads((Path(__file__).parent / "conversations.json").read_text(encoding="utf-8"))
_SENTENCE = "Nothing of note happened on that quiet day, and nobody had anything to add. "


class Pet(BaseModel):
    """An animal that lives with somebody."""

    name: str = Field(json_schema_extra={"key": True})
    species: Literal["dog", "cat", "犬"] | None = None
    age: int | None = None


class Profile(BaseModel):
    """What is always good to know of the user."""

    diet: str | None = None
    job: str | None = None
    allergies: list[str] = []


SCHEMAS: Mapping[str, type[BaseModel]] = {"Pet": Pet, "Profile": Profile}


def schemas_of(case: Case) -> list[type[BaseModel]]:
    return [SCHEMAS[name] for name in case.get("schemas", ())]


def messages_of(call: Case) -> list[dict[str, Any]]:
    """The turns of a call; those that say nothing are as long as they are many."""
    turns: list[dict[str, Any]] = []
    for given in call["messages"]:
        if "filler" in given:
            turns += [
                {"role": "user", "content": f"Day {n}. " + _SENTENCE * 13} for n in range(given["filler"])
            ]
        elif "long" in given:
            turns.append({"role": "user", "content": _SENTENCE * 13 * given["long"] + given["end"]})
        else:
            turns.append(given)
    return turns


class Wire:
    """OpenAI's wire format: where the prompt stands in a request, and what an answer looks like that went wrong."""

    provider = "openai"
    server: type[LocalServer] = OpenAIServer

    def prompt(self, body: Mapping[str, Any]) -> str:
        return str(body["messages"][1]["content"])

    def cut(self, text: str) -> Mapping[str, Any]:
        return _completion({"role": "assistant", "content": text}, "length")

    def refusal(self, text: str) -> Mapping[str, Any]:
        return _completion({"role": "assistant", "content": None, "refusal": text}, "stop")


class AnthropicWire(Wire):
    """The same of Anthropic's."""

    provider = "anthropic"
    server = AnthropicServer

    def prompt(self, body: Mapping[str, Any]) -> str:
        return str(body["messages"][0]["content"][0]["text"])

    def cut(self, text: str) -> Mapping[str, Any]:
        return _message([{"type": "text", "text": text}], "max_tokens")

    def refusal(self, text: str) -> Mapping[str, Any]:
        return _message([], "refusal", {"type": "refusal", "category": None, "explanation": text})


WIRES: Mapping[str, Wire] = {"openai": Wire(), "anthropic": AnthropicWire()}


class Answers:
    """Gives the replies of one call to the server."""

    def __init__(self, replies: Sequence[Any], wire: Wire) -> None:
        self._wire = wire
        self._by_prompt = [reply for reply in replies if isinstance(reply, Mapping) and "when" in reply]
        self._in_order = [reply for reply in replies if reply not in self._by_prompt]

    def __call__(self, body: Mapping[str, Any]) -> Any:
        prompt = self._wire.prompt(body)
        for reply in self._by_prompt:
            said = prompt.partition("Messages:")[2]
            if reply["when"] in said and reply.get("unless", "\0") not in said:
                return _filled(reply["answer"], prompt, self._wire)
        return _filled(self._in_order.pop(0), prompt, self._wire)


def _filled(answer: Any, prompt: str, wire: Wire) -> Any:
    if isinstance(answer, Mapping) and "cut" in answer:
        return wire.cut(answer["cut"])
    if isinstance(answer, Mapping) and "refusal" in answer:
        return wire.refusal(answer["refusal"])
    if isinstance(answer, str):
        return answer
    return json.loads(json.dumps(answer), object_hook=lambda item: _labelled(item, prompt))


def _labelled(item: dict[str, Any], prompt: str) -> dict[str, Any]:
    wanted = item.get("replaces")
    if isinstance(wanted, str) and wanted.startswith("@"):
        labels = [
            label for label, text in re.findall(r"^(m\d+): (.*)$", prompt, re.MULTILINE) if text == wanted[1:]
        ]
        item["replaces"] = labels[0] if labels else f"not offered: {wanted}"
    if item.get("message") == "$":
        item["message"] = int(re.findall(r"^\[(\d+)\]", prompt, re.MULTILINE)[-1])
    return item


def _completion(message: Mapping[str, Any], finish: str) -> Mapping[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    body = {"id": "x", "object": "chat.completion", "created": 0, "model": "local", "choices": [choice]}
    return {"__raw__": {**body, "usage": usage}}


def _message(content: list[Any], ending: str, details: Any = None) -> Mapping[str, Any]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    body = {"id": "x", "type": "message", "role": "assistant", "model": "local", "content": content}
    return {"__raw__": {**body, "stop_reason": ending, "stop_details": details, "usage": usage}}


def llm_of(url: str, wire: Wire) -> Mapping[str, Any]:
    return {"provider": wire.provider, "config": {"base_url": url, "api_key": "k", "max_retries": 0}}


def main() -> None:
    """Make one call in a process that is killed in the middle of it."""
    from memkit import Memory
    from memkit.ledger.sqlite import SqliteLedger
    from memkit.ranking.text import TOKENIZER_VERSION, tokens
    from tests.faults.victim import Killer

    order = json.loads(sys.argv[1])
    case = next(case for case in CASES if case["name"] == order["name"])
    call = case["calls"][order["call"]]
    killer = Killer(call["kill"], 2)
    killer.armed = True
    file = Path(order["path"]) / "memory.db"
    file.parent.mkdir(parents=True, exist_ok=True)
    ledger = SqliteLedger(file, tokenize=tokens, tokenizer_version=TOKENIZER_VERSION, on_step=killer)
    memory = Memory(
        order["path"],
        ledger=ledger,
        llm=llm_of(order["url"], WIRES[order["wire"]]),
        embedder="hash",
        schemas=schemas_of(case),
    )
    memory.add(messages_of(call), user_id="u")


if __name__ == "__main__":
    main()
