"""How does a model of OpenAI's decide itself what to remember and what to look up?

Needs openai: pip install -e "integrations/tools[openai]"
"""

from collections.abc import Mapping
from typing import Any

from openai import OpenAI

from memkit import Memory
from memkit.testing import OpenAIServer
from memkit_tools import Toolbox


def model(body: Mapping[str, Any]) -> Any:
    """Stands in for OpenAI's servers, and does what a model does with the tools; leave it out with a key."""
    asked, last = body["messages"][-1]["content"], body["messages"][-1]["role"]
    if last == "user" and "?" in asked:
        return {"tool_calls": [{"name": "search_memories", "arguments": {"query": asked, "limit": None}}]}
    if last == "user":
        fact = "The user's flight to Lisbon leaves on 3 May."
        return {"tool_calls": [{"name": "add_memory", "arguments": {"text": fact}}]}
    return "Noted." if asked.startswith("Saved") else "On 3 May." if "3 May" in asked else "I do not know."


def chat(client: OpenAI, toolbox: Toolbox, text: str) -> str | None:
    """One turn, with as many calls of tools as the model asks for."""
    messages: list[Any] = [{"role": "user", "content": text}]
    while True:
        done = client.chat.completions.create(model="gpt-5-mini", messages=messages, tools=toolbox.openai())
        answers = toolbox.handle(done)
        if not answers:
            return done.choices[0].message.content
        messages += [done.choices[0].message, *answers]


with (
    Memory() as memory,
    OpenAIServer(reply=model) as server,
    OpenAI(api_key="any", base_url=server.base_url) as client,
):
    ada, bob = (Toolbox(memory, user_id=user) for user in ("ada@example.com", "bob@example.com"))
    print(chat(client, ada, "My flight to Lisbon leaves on 3 May."))
    # > Noted.
    print(chat(client, ada, "When does my flight leave?"))
    # > On 3 May.
    print(chat(client, bob, "When does my flight leave?"))
    # > I do not know.

    # What the model may call. Whose memories it works on is no argument: it cannot be talked into others'.
    print(*ada.names)
    # > search_memories add_memory update_memory delete_memory
