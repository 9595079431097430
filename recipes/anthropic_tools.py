"""How does Claude keep what it learns about a user, by itself or by the program?

Needs anthropic: pip install -e "integrations/tools[anthropic]"
"""

import json
from typing import Any

import httpx2
from anthropic import Anthropic
from anthropic.types import Message

from memkit import Memory
from memkit_tools import Toolbox, with_memory


def model(request: httpx2.Request) -> httpx2.Response:
    """Stands in for Anthropic's servers; leave `http_client` out with a key."""
    body = json.loads(request.content)
    last, text = body["messages"][-1]["content"], {"type": "text", "text": "Noted."}
    if "oboe" in body.get("system", ""):
        text["text"] = "You play the oboe."
    use = {
        "type": "tool_use",
        "id": "t1",
        "name": "add_memory",
        "input": {"text": "The user plays the oboe."},
    }
    calls = "tools" in body and isinstance(last, str)
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [use] if calls else [text],
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    return httpx2.Response(200, json=message)


def text_of(message: Message) -> str:
    """Return the words of an answer."""
    return "".join(block.text for block in message.content if block.type == "text")


http = httpx2.Client(transport=httpx2.MockTransport(model))
with Memory() as memory, Anthropic(api_key="any", http_client=http) as anthropic:
    # By itself: the model calls tools, and the toolbox answers.
    toolbox = Toolbox(memory, user_id="ada@example.com")
    messages: list[Any] = [{"role": "user", "content": "I play the oboe, remember that."}]
    while True:
        done = anthropic.messages.create(
            model="claude-sonnet-5", max_tokens=500, messages=messages, tools=toolbox.anthropic()
        )
        messages.append({"role": "assistant", "content": done.content})
        answers = toolbox.handle(done)
        if not answers:
            break
        messages += answers
    print(text_of(done))
    # > Noted.

    # By the program: what is known is in the system prompt, and every turn is remembered.
    client = with_memory(anthropic, memory, user_id="ada@example.com")
    done = client.messages.create(
        model="claude-sonnet-5", max_tokens=500, messages=[{"role": "user", "content": "What do I play?"}]
    )
    print(text_of(done))
    # > You play the oboe.
    print([turn.content for turn in memory.messages(user_id="ada@example.com")])
    # > ['What do I play?', 'You play the oboe.']
