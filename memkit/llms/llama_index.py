"""Any LlamaIndex `LLM` as memkit's. Needs the extra `llama-index`."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

from pydantic import BaseModel, Field

from memkit.errors import BackendResponseError, ConfigurationError, UnsupportedOperationError
from memkit.llms.adapting import ENDINGS, asking_for, is_one_of, owner_of, translated_for
from memkit.llms.base import ChatMessage, Completion, TokenUsage, ToolCall
from memkit.llms.parsing import parse_as
from memkit.llms.profiles import profile_of
from memkit.settings import ProviderSettings

if TYPE_CHECKING:
    from llama_index.core.llms import LLM
    from llama_index.core.tools import FunctionTool

_BASES: Final = ("LLM", "FunctionCallingLLM", "CustomLLM")
_INPUT: Final = ("prompt_tokens", "input_tokens", "prompt_token_count", "prompt_eval_count")
_OUTPUT: Final = ("completion_tokens", "output_tokens", "candidates_token_count", "eval_count")
_NO_PARAMETERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
_DATA_URL: Final = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """A method of the object and its arguments; the async twin has an `a` before its name."""

    method: Literal["chat", "chat_with_tools", "structured_predict"]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict[str, Any])


class LlamaIndexLLM:
    """Any LlamaIndex `LLM`: chat or completion, with or without tools.

    Structured answers are predicted as the object does it itself, else asked for as a tool call of a function-calling
    model; where it can do neither, refuses, or answers with words instead, the JSON is read out of the words. How
    often a failed request is tried again is the object's own affair (`max_retries`).

    Args:
        model: The `LLM`, or the settings that hold it.
    """

    class Settings(ProviderSettings):
        """Settings of a LlamaIndex LLM."""

        provider_name: ClassVar[str | None] = "llama_index"

        model: Any = Field(default=None, repr=False)
        """The LlamaIndex object; a name alone says too little."""
        name: str | None = None
        """What it is called in messages; default its model or class."""
        enable_vision: bool | None = None
        """Whether images are sent; None goes by the model's name."""

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)
            if not LlamaIndexLLM.adapts(self.model):
                raise ConfigurationError(
                    f"The llm 'llama_index' needs a LlamaIndex LLM as `model`, not {type(self.model).__name__}. "
                    "Example: Memory(llm=OpenAI(...)) with the class of llama_index.llms.openai."
                )

    def __init__(self, model: Settings | LLM | None = None) -> None:
        self.settings = (
            model if isinstance(model, LlamaIndexLLM.Settings) else LlamaIndexLLM.Settings(model=model)
        )
        self._model: Any = self.settings.model
        named, calls = _about(self._model)
        self.name = self.settings.name or f"llama_index/{named}"
        known = profile_of(named).vision
        self.vision = known if self.settings.enable_vision is None else self.settings.enable_vision
        self._calls_tools = calls and is_one_of(
            self._model, "llama_index.core.llms.function_calling", "FunctionCallingLLM"
        )
        self._predicts = self._has_own("structured_predict")
        # The base's async methods call the sync ones inside the loop.
        self._waits = owner_of(self._model, "achat").__name__ not in _BASES and (
            self._has_own("astructured_predict") is self._predicts
        )
        self._refused: set[type[BaseModel]] = set()

    @staticmethod
    def adapts(given: object) -> bool:
        """Return whether an object is a LlamaIndex `LLM`, importing nothing."""
        return is_one_of(given, "llama_index.core.llms.llm", "LLM")

    def __repr__(self) -> str:
        """Return the name alone: the object may hold its key."""
        return f"<LlamaIndexLLM {self.name}>"

    def generate(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema: type[BaseModel] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Completion:
        """Answer; with a schema, in `parsed`.

        Raises:
            BackendError: The model failed, in our words.
            UnsupportedOperationError: Tools were given to a model that takes none.
        """
        structured = self._structured(messages, schema)
        if structured is not None and schema is not None:
            try:
                return self._completion(self._ask(structured), schema)
            except BackendResponseError as error:
                refusal = error
            answer = self._completion(self._ask(self._in_words(messages, schema, None)), schema)
            self._note(refusal, schema)
            return answer
        return self._completion(self._ask(self._in_words(messages, schema, tools)), schema)

    async def agenerate(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema: type[BaseModel] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Completion:
        """Async version of `generate`; an object without async methods of its own works in a thread."""
        if not self._waits:
            return await asyncio.to_thread(self.generate, messages, schema=schema, tools=tools)
        structured = self._structured(messages, schema)
        if structured is not None and schema is not None:
            try:
                return self._completion(await self._aask(structured), schema)
            except BackendResponseError as error:
                refusal = error
            answer = self._completion(await self._aask(self._in_words(messages, schema, None)), schema)
            self._note(refusal, schema)
            return answer
        return self._completion(await self._aask(self._in_words(messages, schema, tools)), schema)

    def _ask(self, request: _Request) -> object:
        try:
            return getattr(self._model, request.method)(*request.args, **request.kwargs)
        except Exception as error:
            raise translated_for("LlamaIndex", error, self.name) from error

    async def _aask(self, request: _Request) -> object:
        try:
            return await getattr(self._model, f"a{request.method}")(*request.args, **request.kwargs)
        except Exception as error:
            raise translated_for("LlamaIndex", error, self.name) from error

    def _note(self, refusal: BackendResponseError, schema: type[BaseModel]) -> None:
        """Go on asking in words where the request was refused; an answer that did not fit may fit next time."""
        if not isinstance(refusal.__cause__, ValueError):
            self._refused.add(schema)

    # Requests.

    def _has_own(self, method: str) -> bool:
        return owner_of(self._model, method).__name__ not in _BASES

    def _structured(self, messages: Sequence[ChatMessage], schema: type[BaseModel] | None) -> _Request | None:
        """Return how to ask for a schema, or None where the JSON has to be read out of words."""
        if schema is None or schema in self._refused:
            return None
        if self._predicts:
            from llama_index.core.prompts import ChatPromptTemplate

            prompt = ChatPromptTemplate(message_templates=_as_messages(messages))
            return _Request(method="structured_predict", args=(schema, prompt))
        if not self._calls_tools:
            return None
        from llama_index.core.program.function_program import get_function_tool

        tool = get_function_tool(schema)
        kwargs = {"tools": [tool], "chat_history": _as_messages(messages), "tool_required": True}
        return _Request(method="chat_with_tools", kwargs=kwargs)

    def _in_words(
        self,
        messages: Sequence[ChatMessage],
        schema: type[BaseModel] | None,
        tools: Sequence[Mapping[str, Any]] | None,
    ) -> _Request:
        if schema is not None or not tools:
            return _Request(method="chat", args=(_as_messages(asking_for(messages, schema)),))
        if not self._calls_tools:
            raise UnsupportedOperationError(f"{self.name} takes no tools. Pass a function-calling LLM.")
        kwargs = {"tools": _as_tools(tools), "chat_history": _as_messages(messages)}
        return _Request(method="chat_with_tools", kwargs=kwargs)

    # Answers.

    def _completion(self, answer: object, schema: type[BaseModel] | None) -> Completion:
        if schema is not None and isinstance(answer, schema):
            return Completion(text=answer.model_dump_json(), parsed=answer)
        message = getattr(answer, "message", None)
        if message is None:
            raise BackendResponseError(
                f"{self.name} answered with {type(answer).__name__}, where a chat response was expected.",
                backend=self.name,
            )
        text, calls = str(message.content or ""), self._tool_calls(answer)
        fitting = None
        if schema is not None:
            written = [json.dumps(call.arguments, ensure_ascii=False, default=str) for call in calls]
            fitting = next((found for one in [*written, text] if (found := parse_as(one, schema)[0])), None)
            text = text or (written[0] if written else "")
        return Completion(
            text=text,
            parsed=fitting,
            tool_calls=calls if schema is None else (),
            usage=_usage(answer),
            finish_reason=_ending(answer),
        )

    def _tool_calls(self, answer: object) -> tuple[ToolCall, ...]:
        if not self._calls_tools:
            return ()
        try:
            found = self._model.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
        except Exception as error:
            raise translated_for("LlamaIndex", error, self.name) from error
        return tuple(
            ToolCall(id=str(one.tool_id or ""), name=one.tool_name, arguments=dict(one.tool_kwargs))
            for one in found
        )


def _about(model: Any) -> tuple[str, bool]:
    """Return a model's name, else its class, and whether it calls functions."""
    kind = type(model).__name__
    try:
        metadata = model.metadata
    except ValueError as error:  # looked up in a table that is older than the model
        raise ConfigurationError(f"{kind} cannot be used, as it does not know its model: {error}") from error
    named: str = metadata.model_name
    return (kind if named in ("", "unknown") else named), bool(metadata.is_function_calling_model)


def _as_messages(messages: Sequence[ChatMessage]) -> list[Any]:
    """Return LlamaIndex messages."""
    from llama_index.core.llms import ChatMessage as Message

    return [Message(role=message["role"], blocks=_blocks(message.get("content"))) for message in messages]


def _blocks(content: object) -> list[Any]:
    from llama_index.core.llms import ImageBlock, TextBlock

    parts = cast("list[Any]", content) if isinstance(content, list) else [{"type": "text", "text": content}]
    blocks: list[Any] = []
    for part in parts:
        image: Any = part.get("image_url")
        if image is None:
            blocks.append(TextBlock(text=str(part.get("text") or "")))
            continue
        url = str(_of(image, "url") or image)
        if data := _DATA_URL.fullmatch(url):
            blocks.append(ImageBlock(image=base64.b64decode(data[2]), image_mimetype=data[1]))
        else:
            blocks.append(ImageBlock(url=url))
    return blocks


def _as_tools(tools: Sequence[Mapping[str, Any]]) -> list[FunctionTool]:
    """Return OpenAI's tool definitions as LlamaIndex tools, which are shown to a model and never called."""
    from llama_index.core.tools import FunctionTool, ToolMetadata

    class Described(ToolMetadata):
        """A tool whose arguments are known as a JSON schema."""

        def __init__(self, function: Mapping[str, Any]) -> None:
            super().__init__(name=function["name"], description=function.get("description") or "")
            self._parameters: dict[str, Any] = dict(function.get("parameters") or _NO_PARAMETERS)

        def get_parameters_dict(self) -> dict[str, Any]:
            return self._parameters

    def never(**arguments: Any) -> None:
        raise NotImplementedError(f"called with {sorted(arguments)}")

    return [FunctionTool(fn=never, metadata=Described(tool.get("function", tool))) for tool in tools]


def _of(thing: object, key: str) -> Any:
    """Return a value of a mapping or an attribute of an object, or None: answers come as both."""
    if isinstance(thing, Mapping):
        return cast("Mapping[str, Any]", thing).get(key)
    return getattr(thing, key, None)


def _usage(answer: object) -> TokenUsage:
    raw = _of(answer, "raw")
    holders = [_of(raw, "usage"), _of(raw, "usage_metadata"), raw, _of(answer, "additional_kwargs")]

    def first(keys: Sequence[str]) -> int:
        counts = (_of(holder, key) for holder in holders for key in keys)
        return next((count for count in counts if isinstance(count, int)), 0)

    return TokenUsage(input_tokens=first(_INPUT), output_tokens=first(_OUTPUT))


def _ending(answer: object) -> str | None:
    raw = _of(answer, "raw")
    choices: object = _of(raw, "choices")
    first: Any = cast("list[Any]", choices)[0] if isinstance(choices, list) and choices else None
    found = (
        _of(first, "finish_reason"),
        *(_of(raw, key) for key in ("finish_reason", "stop_reason", "done_reason")),
    )
    ending = next((str(one) for one in found if isinstance(one, str) and one), None)
    return None if ending is None else ENDINGS.get(ending, ending)
