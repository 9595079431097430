"""What an agent or a chat engine may expect of any `BaseMemory`; ours keeps all of it, the stock ones do not."""

# `run` has its arguments in an overload that is marked as deprecated.
# pyright: reportDeprecated=false
from __future__ import annotations

import asyncio
import json
from typing import ClassVar

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    ChatMessage,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.memory import BaseMemory
from llama_index.core.workflow import Context

from .scripted_agents import Speaking, assistant, call, result, said, system, user


def look(x: str) -> str:
    """Look something up."""
    return f"found {x}"


WHOLE = [
    ChatMessage(
        role="user",
        blocks=[
            TextBlock(text="What is this? 図"),
            ImageBlock(image=b"\x89PNG\r\n\x1a\n", image_mimetype="image/png"),
            DocumentBlock(data=b"%PDF-1.4", document_mimetype="application/pdf", title="a.pdf"),
            CitableBlock(title="t", source="s", content=[TextBlock(text="quoted")]),
        ],
        additional_kwargs={"name": "ada"},
    ),
    ChatMessage(
        role="assistant",
        blocks=[
            ThinkingBlock(content="hm", additional_information={"signature": "x"}),
            ToolCallBlock(tool_call_id="c", tool_name="look", tool_kwargs={"x": "1"}),
        ],
    ),
    result("found 1", "c"),
    assistant("A picture."),
]


class MemoryContract:
    """One test a law; `defects` are those that a stock class is known to break, `races` those it breaks by chance."""

    defects: ClassVar[dict[str, str]] = {}
    races: ClassVar[dict[str, str]] = {}

    def make(self, token_limit: int = 3000) -> BaseMemory:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _known(self, request: pytest.FixtureRequest) -> None:
        case = request.node.name
        reason = self.defects.get(case) or self.races.get(case)
        if reason is not None:
            request.applymarker(pytest.mark.xfail(strict=case in self.defects, reason=reason))

    async def test_messages_come_back_in_order(self) -> None:
        memory = self.make()
        await memory.aput(user("a"))
        await memory.aput_messages([assistant("b"), user("c")])
        assert said(await memory.aget_all()) == [("user", "a"), ("assistant", "b"), ("user", "c")]
        assert said(await memory.aget())[-3:] == [("user", "a"), ("assistant", "b"), ("user", "c")]

    def test_the_sync_methods_do_the_same(self) -> None:
        memory = self.make()
        memory.put(user("a"))
        memory.put_messages([assistant("b"), user("c")])
        assert said(memory.get_all()) == [("user", "a"), ("assistant", "b"), ("user", "c")]
        assert said(memory.get())[-3:] == [("user", "a"), ("assistant", "b"), ("user", "c")]
        memory.set([user("d")])
        assert said(memory.get_all()) == [("user", "d")]
        memory.reset()
        assert memory.get_all() == []

    async def test_every_block_and_argument_comes_back(self) -> None:
        memory = self.make()
        await memory.aput_messages(WHOLE)
        back = await memory.aget_all()
        assert [message.model_dump() for message in back] == [message.model_dump() for message in WHOLE]

    async def test_what_is_returned_is_a_copy(self) -> None:
        memory = self.make()
        await memory.aput(user("mine"))
        for messages in (await memory.aget_all(), await memory.aget()):
            messages[-1].blocks = [TextBlock(text="changed")]
            messages[-1].additional_kwargs["changed"] = True
        assert said(await memory.aget_all()) == [("user", "mine")]
        assert (await memory.aget_all())[0].additional_kwargs == {}

    async def test_an_empty_batch_is_nothing(self) -> None:
        memory = self.make()
        await memory.aput_messages([])
        assert await memory.aget_all() == []

    async def test_set_takes_an_edited_history(self) -> None:
        memory = self.make()
        await memory.aput_messages([user("a"), assistant("b"), user("c"), assistant("d")])
        edited = [user("a"), assistant("edited"), user("new"), assistant("d")]
        await memory.aset(edited)
        assert said(await memory.aget_all()) == said(edited)
        await memory.aset([*edited, user("e")])
        assert said(await memory.aget_all()) == [*said(edited), ("user", "e")]
        await memory.aset(edited[:2])
        assert said(await memory.aget_all()) == said(edited[:2])

    async def test_reset_empties_it_and_it_can_be_used_again(self) -> None:
        memory = self.make()
        await memory.aput(user("a"))
        await memory.areset()
        assert await memory.aget_all() == []
        await memory.aput(user("b"))
        assert said(await memory.aget_all()) == [("user", "b")]

    async def test_first_uses_at_the_same_time_all_work(self) -> None:
        memory = self.make()
        assert await asyncio.gather(*(memory.aget_all() for _ in range(5))) == [[]] * 5

    async def test_puts_at_the_same_time_all_arrive(self) -> None:
        memory = self.make()
        await memory.aput(user("first"))
        await asyncio.gather(*(memory.aput(user(str(n))) for n in range(8)))
        texts = [message.content for message in await memory.aget_all()]
        assert sorted(text for text in texts if text) == sorted(["first", *map(str, range(8))])

    async def test_over_the_limit_whole_turns_are_left(self) -> None:
        memory = self.make(token_limit=120)
        for n in range(12):
            await memory.aput(user(f"question {n}, in some more words"))
            await memory.aput_messages([call("look", x="1"), result("found"), assistant(f"answer {n}")])
        shown = [message for message in await memory.aget() if message.role != "system"]
        assert shown[0].role == "user"
        assert shown[-1].content == "answer 11"
        assert 4 <= len(shown) < 48
        calls = [m for m in shown if any(isinstance(block, ToolCallBlock) for block in m.blocks)]
        assert len(calls) == len([m for m in shown if m.role == "tool"])

    async def test_calls_of_tools_count(self) -> None:
        memory = self.make(token_limit=400)
        for n in range(6):
            await memory.aput(user(f"question {n}"))
            await memory.aput_messages([call("look", x="word " * 150), result("x"), assistant(f"answer {n}")])
        assert len([m for m in await memory.aget() if m.role == "tool"]) <= 2

    async def test_a_turn_that_is_longer_than_the_limit_is_still_asked(self) -> None:
        memory = self.make(token_limit=50)
        await memory.aput_messages([user("a"), assistant("b")])
        await memory.aput(user("word " * 200))
        shown = await memory.aget()
        assert shown[-1].role == "user"
        assert shown[-1].content == "word " * 200

    async def test_the_system_message_survives_a_long_conversation(self) -> None:
        memory = self.make(token_limit=100)
        await memory.aset([system("Be brief.")])
        for n in range(20):
            await memory.aput_messages([user(f"question {n} " * 3), assistant(f"answer {n} " * 3)])
        assert "Be brief." in str((await memory.aget())[0].content)

    async def test_there_is_never_a_second_system_message(self) -> None:
        memory = self.make()
        await memory.aset([system("Be brief."), user("I like tea."), assistant("Noted.")])
        await memory.aput(user("What do I like?"))
        shown = await memory.aget()
        assert [message.role for message in shown].count("system") == 1
        assert str(shown[0].content).startswith("Be brief.")

    def test_an_empty_one_is_not_false(self) -> None:
        assert self.make()

    async def test_its_dictionary_is_json_and_restores_it(self) -> None:
        memory = self.make()
        await memory.aput_messages([user("a"), assistant("b")])
        restored = type(memory).from_dict(json.loads(json.dumps(memory.to_dict())))
        assert said(await restored.aget_all()) == [("user", "a"), ("assistant", "b")]
        await restored.aput(user("c"))
        assert said(await restored.aget_all())[-1] == ("user", "c")

    async def test_a_context_that_holds_it_can_be_written_down_and_restored(self) -> None:
        memory = self.make()
        model = Speaking(call("look", x="tea"), "First.", "Second.")
        agent = FunctionAgent(tools=[look], llm=model)
        context = Context(agent)
        await agent.run("one", memory=memory, ctx=context)
        restored = Context.from_dict(agent, json.loads(json.dumps(context.to_dict())))
        await agent.run("two", ctx=restored)
        asked = [message.content for message in model.asked[-1] if message.role in ("user", "assistant")]
        assert [text for text in asked if text] == ["one", "First.", "two"]

    async def test_an_agents_state_does_not_get_into_the_history(self) -> None:
        memory = self.make()
        agent = FunctionAgent(llm=Speaking("Yes."), initial_state={"step": 1})
        await agent.run("Go on?", memory=memory)
        assert said(await memory.aget_all()) == [("user", "Go on?"), ("assistant", "Yes.")]
