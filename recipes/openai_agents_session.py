"""How does an agent of the OpenAI Agents SDK keep its conversations and know its users?

Needs openai-agents: pip install -e "integrations/tools[agents]"
"""

import asyncio
from dataclasses import dataclass

from agents import Agent, RunConfig, Runner
from agents.testing import ModelCall, ModelStep, ScriptedModel, assistant_message, function_call

from memkit import Memory
from memkit_tools.agents import MemkitSession, memory_tools, recall_filter


@dataclass
class User:
    """The context of a run; its `user_id` says whose memories, and no model can change it."""

    user_id: str


def answer(call: ModelCall) -> ModelStep:
    """Stands in for a model, and answers from what it is shown; leave `model=` out with a key."""
    text = "You row on Mondays." if "row" in (call.system_instructions or "") else "I do not know."
    return ModelStep(output=[assistant_message(text)])


memory = Memory()
model = ScriptedModel(
    [
        [function_call("add_memory", {"text": "The user rows on Mondays."}, call_id="c1")],
        [assistant_message("Noted.")],
        ModelStep.respond(answer),
        ModelStep.respond(answer),
    ]
)
agent = Agent[User](name="coach", instructions="Be brief.", model=model, tools=[*memory_tools(memory)])
run = RunConfig(call_model_input_filter=recall_filter(memory), tracing_disabled=True)


async def say(text: str, user: str, conversation: str) -> str:
    """One turn of a user in a conversation."""
    session = MemkitSession(memory, conversation)
    result = await Runner.run(agent, text, context=User(user), session=session, run_config=run)
    return result.final_output


async def main() -> None:
    """Three turns, of two users."""
    print(await say("Remember that I row on Mondays.", "ada@example.com", "spring"))
    # > Noted.
    print(await say("When do I row?", "ada@example.com", "summer"))
    # > You row on Mondays.
    print(await say("When do I row?", "bob@example.com", "autumn"))
    # > I do not know.

    # A conversation is kept item by item, in the same file as the memories.
    items = await MemkitSession(memory, "spring", "ada@example.com").get_items()
    print([item.get("type") or item.get("role") for item in items])
    # > ['user', 'function_call', 'function_call_output', 'message']


asyncio.run(main())
memory.close()
