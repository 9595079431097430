"""How does a program that calls OpenAI remember its users, with one line more?

Needs openai: pip install -e "integrations/tools[openai]"
"""

from collections.abc import Mapping
from typing import Any

from openai import OpenAI

from memkit import Memory
from memkit.testing import OpenAIServer
from memkit_tools import with_memory


def model(body: Mapping[str, Any]) -> str:
    """Stands in for OpenAI's servers, and answers from what it is shown; leave it out with a key."""
    prompt, asked = body["messages"][0]["content"], body["messages"][-1]["content"]
    return "Nice to hear." if "?" not in asked else "Sencha." if "sencha" in prompt else "I do not know."


with (
    Memory() as memory,
    OpenAIServer(reply=model) as server,
    OpenAI(api_key="any", base_url=server.base_url) as openai,
):
    client = with_memory(openai, memory)  # the one line

    def say(text: str, user: str, conversation: str) -> str:
        """One turn of a user in a conversation."""
        done = client.chat.completions.create(
            model="gpt-5-mini",
            messages=[{"role": "system", "content": "You are a waiter."}, {"role": "user", "content": text}],
            user_id=user,
            run_id=conversation,
        )
        return done.choices[0].message.content

    print(say("My favourite tea is sencha.", "ada@example.com", "monday"))
    # > Nice to hear.
    print(say("Which tea do I like?", "ada@example.com", "tuesday"))
    # > Sencha.
    print(say("Which tea do I like?", "bob@example.com", "wednesday"))
    # > I do not know.

    # A stream is one as before, and remembered when the answer is whole.
    stream = client.chat.completions.create(
        model="gpt-5-mini",
        messages=[{"role": "user", "content": "I take it without sugar."}],
        stream=True,
        user_id="ada@example.com",
        run_id="thursday",
    )
    print("".join(chunk.choices[0].delta.content or "" for chunk in stream))
    # > Nice to hear.
    print([turn.content for turn in memory.messages(user_id="ada@example.com", run_id="thursday")])
    # > ['I take it without sugar.', 'Nice to hear.']
    print(client.memory_failures)
    # > {}
