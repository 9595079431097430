"""Any LangChain model as memkit's: chat models, and whatever they were wrapped in. Needs the extra `langchain`."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import BaseModel, Field

from memkit.errors import BackendError, BackendResponseError, ConfigurationError, UnsupportedOperationError
from memkit.llms.adapting import ENDINGS, asking_for, is_one_of, translated_for
from memkit.llms.base import ChatMessage, Completion, TokenUsage, ToolCall
from memkit.llms.parsing import parse_as
from memkit.llms.profiles import profile_of
from memkit.settings import ProviderSettings

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable


class LangChainLLM:
    """Any LangChain runnable that takes messages and returns an `AIMessage`: a chat model, wrapped or not.

    Structured answers are asked for with `with_structured_output`; where the model has none, refuses it, or answers
    with words instead, the JSON is read out of the words. Its tokens never reach the stream of an agent it is called
    from. How often a failed request is tried again is the model's own affair (`max_retries`, `with_retry`).

    Args:
        model: The runnable, or the settings that hold it.
    """

    class Settings(ProviderSettings):
        """Settings of a LangChain model."""

        provider_name: ClassVar[str | None] = "langchain"

        model: Any = Field(default=None, repr=False)
        """The LangChain object; a name alone says too little."""
        name: str | None = None
        """What it is called in messages; default its class and model."""
        enable_vision: bool | None = None
        """Whether images are sent; None goes by the model's own profile, then by its name."""

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)
            if not LangChainLLM.adapts(self.model):
                raise ConfigurationError(
                    f"The llm 'langchain' needs a LangChain model as `model`, not {type(self.model).__name__}. "
                    "Example: Memory(llm=init_chat_model(...))."
                )

    def __init__(self, model: Settings | Runnable[Any, Any] | None = None) -> None:
        self.settings = (
            model if isinstance(model, LangChainLLM.Settings) else LangChainLLM.Settings(model=model)
        )
        self._model: Any = self.settings.model
        self._structured: dict[type[BaseModel], Any] = {}
        named, profile = name_of(self._model), _attribute(self._model, "profile")
        self.name = self.settings.name or f"langchain/{named}"
        known: Mapping[str, Any] = cast("Any", profile) if isinstance(profile, Mapping) else {}
        sees: object = known.get("image_inputs", profile_of(named).vision)
        self.vision = bool(sees) if self.settings.enable_vision is None else self.settings.enable_vision

    @staticmethod
    def adapts(given: object) -> bool:
        """Return whether an object is a LangChain runnable, importing nothing."""
        return is_one_of(given, "langchain_core.runnables", "Runnable")

    def __repr__(self) -> str:
        """Return the name alone: a model may hold its key."""
        return f"<LangChainLLM {self.name}>"

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
        runnable = self._runnable(schema, tools)
        if runnable is not None:
            try:
                return self._completion(self._ask(runnable, messages, None), schema)
            except BackendResponseError:
                if schema is None:
                    raise
        answer = self._completion(self._ask(self._model, messages, schema), schema)
        return self._degraded(answer, schema)

    async def agenerate(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema: type[BaseModel] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Completion:
        """Async version of `generate`."""
        runnable = self._runnable(schema, tools)
        if runnable is not None:
            try:
                return self._completion(await self._aask(runnable, messages, None), schema)
            except BackendResponseError:
                if schema is None:
                    raise
        answer = self._completion(await self._aask(self._model, messages, schema), schema)
        return self._degraded(answer, schema)

    def _degraded(self, answer: Completion, schema: type[BaseModel] | None) -> Completion:
        """Go on asking in words: they were answered where a structured request was refused."""
        if schema is not None:
            self._structured[schema] = None
        return answer

    def _ask(self, runnable: Any, messages: Sequence[ChatMessage], schema: type[BaseModel] | None) -> object:
        try:
            with by_itself():
                return runnable.invoke(_as_messages(messages, schema))
        except Exception as error:
            raise translated(error, self.name) from error

    async def _aask(
        self, runnable: Any, messages: Sequence[ChatMessage], schema: type[BaseModel] | None
    ) -> object:
        try:
            with by_itself():
                return await runnable.ainvoke(_as_messages(messages, schema))
        except Exception as error:
            raise translated(error, self.name) from error

    def _runnable(self, schema: type[BaseModel] | None, tools: Sequence[Mapping[str, Any]] | None) -> Any:
        """Return what to ask first, or None where the JSON has to be read out of words."""
        if schema is None:
            return self._with_tools(tools) if tools else self._model
        if schema not in self._structured:
            self._structured[schema] = _structured(self._model, schema)
        return self._structured[schema]

    def _with_tools(self, tools: Sequence[Mapping[str, Any]]) -> Any:
        try:
            return self._model.bind_tools([dict(tool) for tool in tools])
        except (AttributeError, NotImplementedError) as error:
            raise UnsupportedOperationError(
                f"{self.name} takes no tools. Pass a chat model that does."
            ) from error

    def _completion(self, answer: object, schema: type[BaseModel] | None) -> Completion:
        """Return what the model answered: an `AIMessage`, a text, or both with what LangChain parsed of it."""
        parsed: object = None
        if isinstance(answer, Mapping):
            whole = cast("Mapping[str, object]", answer)
            answer, parsed = (whole.get("raw"), whole.get("parsed")) if "raw" in whole else (None, whole)
        elif schema is not None and isinstance(answer, schema):
            answer, parsed = None, answer
        if answer is None and parsed is not None and schema is not None:
            text, calls, message = _json_of(parsed), (), None
        elif isinstance(answer, str):
            text, calls, message = answer, (), None
        elif isinstance(words := getattr(answer, "text", None), str):
            text, calls, message = str(words), _tool_calls(answer), cast("Any", answer)
        else:
            raise BackendResponseError(
                f"{self.name} answered with {type(answer).__name__}, where a message was expected. Give the model "
                "itself, or a chain that ends with it.",
                backend=self.name,
            )
        fitting = None if schema is None else _fitting(parsed, (*_spoilt_calls(message), text), calls, schema)
        if not text and schema is not None and calls:
            text = json.dumps(calls[0].arguments, ensure_ascii=False)
        usage: Mapping[str, Any] = getattr(message, "usage_metadata", None) or {}
        cached: Mapping[str, Any] = usage.get("input_token_details") or {}
        about: Mapping[str, Any] = getattr(message, "response_metadata", None) or {}
        ending = about.get("finish_reason") or about.get("stop_reason")
        return Completion(
            text=text,
            parsed=fitting,
            tool_calls=calls if schema is None else (),
            usage=TokenUsage(
                input_tokens=int(usage.get("input_tokens", 0)),
                output_tokens=int(usage.get("output_tokens", 0)),
                cache_read_tokens=int(cached.get("cache_read") or 0),
                cache_write_tokens=int(cached.get("cache_creation") or 0),
            ),
            finish_reason=None if ending is None else ENDINGS.get(str(ending), str(ending)),
        )


def _structured(model: object, schema: type[BaseModel]) -> Any:
    """Return a runnable that answers with a schema, or None where words have to do."""
    from langchain_core.runnables import RunnableWithFallbacks
    from langchain_core.runnables.base import RunnableBindingBase

    # Wrappers go around the structured request, and what `bind` gave would not reach the model through one.
    wrapper: Any = model
    if isinstance(model, RunnableBindingBase):
        inner = None if wrapper.kwargs else _structured(wrapper.bound, schema)
        return None if inner is None else wrapper.model_copy(update={"bound": inner})
    if isinstance(model, RunnableWithFallbacks):
        first, *others = (_structured(one, schema) for one in wrapper.runnables)
        if first is None or None in others:
            return None
        return wrapper.model_copy(update={"runnable": first, "fallbacks": others})
    maker = _attribute(model, "with_structured_output")
    if maker is None:
        return None
    try:
        return maker(schema, include_raw=True)
    except Exception:  # noqa: BLE001  (each vendor refuses in its own way, and words are asked for then)
        return None


def _fitting(
    parsed: object, texts: Sequence[str], calls: Sequence[ToolCall], schema: type[BaseModel]
) -> BaseModel | None:
    """Return the answer as the schema: as LangChain parsed it, else out of a tool call, else out of the words."""
    if isinstance(parsed, schema):
        return parsed
    given = [call.arguments for call in calls]
    if isinstance(parsed, Mapping):
        given.append(cast("dict[str, Any]", parsed))
    for text in (*map(_json_of, given), *texts):
        if (found := parse_as(text, schema)[0]) is not None:
            return found
    return None


def _json_of(value: object) -> str:
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return json.dumps(value, ensure_ascii=False, default=str)


def _spoilt_calls(message: object) -> Sequence[str]:
    """Return the arguments of tool calls that LangChain could not read as JSON; they may be mended."""
    calls = cast("Sequence[Mapping[str, Any]]", getattr(message, "invalid_tool_calls", None) or ())
    return [str(call["args"]) for call in calls if call.get("args")]


def _tool_calls(message: object) -> tuple[ToolCall, ...]:
    calls = cast("Sequence[Mapping[str, Any]]", getattr(message, "tool_calls", None) or ())
    return tuple(
        ToolCall(id=str(c.get("id") or ""), name=c["name"], arguments=dict(c["args"])) for c in calls
    )


def _as_messages(messages: Sequence[ChatMessage], schema: type[BaseModel] | None) -> list[Any]:
    """Return LangChain messages; with a schema, a system message says which JSON is wanted."""
    from langchain_core.messages import convert_to_messages

    given = [dict(message) for message in asking_for(messages, schema)]
    return list(convert_to_messages(cast("Any", given)))


# What the adapters of this framework share.


def _attribute(model: object, name: str) -> Any:
    """Return an attribute or None; wrappers evaluate annotations when asked for one, which may fail."""
    try:
        return getattr(model, name, None)
    except NameError:
        return None


@contextmanager
def by_itself() -> Generator[None]:
    """Run something of LangChain's as if no other run surrounded it.

    Inside an agent it would inherit the callbacks, and the words of an extraction would appear in the user's stream;
    with them the thread and the model that the caller's config names.
    """
    from langchain_core.runnables.config import var_child_runnable_config

    token = var_child_runnable_config.set(None)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def name_of(model: object) -> str:
    """Return a model's name, else its class; wrappers are looked through."""
    for _ in range(8):
        inner = _attribute(model, "bound") or _attribute(model, "runnable")
        if inner is None:
            break
        model = inner
    for field in ("model_name", "model", "model_id"):
        value = _attribute(model, field)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return type(model).__name__


def translated(error: Exception, name: str) -> BackendError:
    """Return an error of whatever vendor stands behind a LangChain object as one of ours."""
    return translated_for("LangChain", error, name)
