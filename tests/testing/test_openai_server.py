"""The local server speaks the wire format that the official SDK reads."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from memkit.testing.openai_server import Fault, OpenAIServer, bag_of_words

HI = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(api_key="k") as running:
        yield running


@pytest.fixture
def client(server: OpenAIServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=server.base_url, max_retries=0) as made:
        yield made


def test_chat_streams_word_by_word(server: OpenAIServer, client: openai.OpenAI) -> None:
    server.say("one two three")
    stream = client.chat.completions.create(  # pyright: ignore[reportCallIssue]
        model="m",
        messages=HI,
        stream=True,
        stream_options={"include_usage": True},  # pyright: ignore[reportArgumentType]
    )
    chunks = list(stream)
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two three"
    )
    assert chunks[-1].usage is not None and chunks[-2].choices[0].finish_reason == "stop"
    assert len(chunks) > 4


def test_tool_calls_stream_too(server: OpenAIServer, client: openai.OpenAI) -> None:
    server.say({"tool_calls": [{"name": "f", "arguments": {"x": 1}}]})
    stream = client.chat.completions.create(model="m", messages=HI, stream=True)  # pyright: ignore[reportArgumentType, reportCallIssue]
    chunks = list(stream)
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert [(call.function.name, call.function.arguments) for call in calls if call.function] == [
        ("f", '{"x": 1}')
    ]


def test_responses_answer(server: OpenAIServer, client: openai.OpenAI) -> None:
    server.say("Good day")
    answer = client.responses.create(model="m", input="Hello")
    assert answer.output_text == "Good day" and answer.usage is not None


def test_embeddings_are_the_same_everywhere_and_near_for_shared_words(client: openai.OpenAI) -> None:
    data = client.embeddings.create(model="m", input=["a cat", "a cat", "the dog"], dimensions=64).data
    assert data[0].embedding == data[1].embedding and len(data[0].embedding) == 64
    assert data[0].embedding == pytest.approx(bag_of_words("a cat", 64))
    floats = client.embeddings.create(model="m", input="a cat", dimensions=64, encoding_format="float")
    assert floats.data[0].embedding == pytest.approx(data[0].embedding)


def test_wrong_keys_and_unknown_paths_are_refused(server: OpenAIServer, client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").chat.completions.create(model="m", messages=HI)  # pyright: ignore[reportArgumentType]
    with pytest.raises(openai.NotFoundError):
        client.images.generate(prompt="x")
    assert [model.id for model in client.models.list()] == ["local"]


def test_faults_hit_the_path_they_are_for(server: OpenAIServer, client: openai.OpenAI) -> None:
    server.fail(Fault(status=429, retry_after="7"), path="/embeddings")
    client.chat.completions.create(model="m", messages=HI)  # pyright: ignore[reportArgumentType]
    with pytest.raises(openai.RateLimitError) as caught:
        client.embeddings.create(model="m", input="x")
    assert caught.value.response.headers["retry-after"] == "7"
    assert dict(server.counts) == {"/chat/completions": 1, "/embeddings": 1}
    server.reset()
    assert server.count() == 0


def test_the_last_reply_is_repeated(server: OpenAIServer, client: openai.OpenAI) -> None:
    server.say("one", lambda body: body["model"])
    said = [
        client.chat.completions.create(model="m", messages=HI).choices[0].message.content for _ in range(3)
    ]  # pyright: ignore[reportArgumentType]
    assert said == ["one", "m", "m"]
