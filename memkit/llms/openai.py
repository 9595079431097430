"""OpenAI chat completions, and the wire format of everything compatible. Needs the extra `openai`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

from pydantic import BaseModel

from memkit.errors import BackendResponseError
from memkit.llms.base import ChatMessage, Completion, TokenUsage, ToolCall
from memkit.llms.openai_client import HOST, OPENAI, OpenAIClients
from memkit.llms.parsing import parse_as
from memkit.llms.profiles import profile_of
from memkit.llms.schemas import example_of, strict_schema
from memkit.llms.sdk import Retries, no_key, shown
from memkit.llms.settings import ModelSettings
from memkit.settings import SecretStr, env

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

DEFAULT_MODEL: Final = "gpt-5-mini"

ResponseFormat = Literal["strict", "schema", "object", "plain"]
_WEAKER: Final[Mapping[ResponseFormat, ResponseFormat]] = {
    "strict": "object",
    "schema": "object",
    "object": "plain",
}
_MAX_ADAPTATIONS: Final = 8

# Refusals that no other response format would lift.
_OTHER_CAUSE: Final = re.compile(
    r"context.?length|maximum context|too many tokens|too long|content.?policy|content.?filter|safety|invalid.?image"
    r"|model.?not.?found|does not exist|no such model|billing|quota",
    re.IGNORECASE,
)
_PARAMETERS: Final = (
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "reasoning_effort",
    "store",
)
_REFUSED: Final = re.compile(
    r"unsupported|not.support|does not support|unrecogni[sz]ed|unknown|unexpected|not.permitted|not.allowed|deprecated"
    r"|only the default|extra (?:inputs|fields)|instead",
    re.IGNORECASE,
)

_REPLACED: Final = {
    "app_name": 'pass `default_headers={"X-Title": ...}`',
    "azure_kwargs": 'use the provider "azure_openai"',
    "models": 'use the provider "openrouter" with `extra_body={"models": [...]}`',
    "openrouter_base_url": 'use the provider "openrouter", whose `base_url` it is',
    "response_callback": "results carry `usage`; pass a ready `client=` to see every response",
    "route": 'use the provider "openrouter" with `extra_body={"route": ...}`',
    "site_url": 'pass `default_headers={"HTTP-Referer": ...}`',
}


class ChatSettings(ModelSettings):
    """What every chat model of this wire format takes."""

    replaced: ClassVar[Mapping[str, str]] = _REPLACED

    model: str = DEFAULT_MODEL
    """Name of the model."""
    base_url: str | None = None
    """URL of the API, up to `/v1`."""
    temperature: float | None = 0.1
    """0 to 2. Not sent to reasoning models."""
    top_p: float | None = None
    """0 to 1. Not sent to reasoning models."""
    top_k: int | None = None
    """Sent only to vendors that have it; OpenAI has not."""
    max_tokens: int | None = None
    """Tokens of one answer, those of reasoning included; None leaves it to the server."""
    reasoning_effort: str | None = None
    """`minimal`, `low`, `medium` or `high`, for reasoning models."""
    is_reasoning_model: bool | None = None
    """Whether the model takes the parameters of reasoning models; None goes by its name."""
    store: bool | None = None
    """Whether OpenAI keeps the completion; None leaves it to the account. Never sent to other vendors."""
    response_format: ResponseFormat | None = None
    """How structured answers are asked for, strongest first: `strict`, `schema`, `object`, `plain`.

    None starts with what the vendor is known to take, and goes down where a server refuses it.
    """
    extra_body: dict[str, Any] | None = None
    """Further fields of the request body, for what a vendor has and OpenAI has not."""


class OpenAILLM:
    """A chat model of OpenAI, or behind any server of the same wire format.

    Args:
        settings: None reads the environment.
        client: A ready `openai.OpenAI`; its key, URL, timeout and proxies are used as they are.
        aclient: A ready `openai.AsyncOpenAI`.

    Raises:
        ConfigurationError: No key was given, and the server needs one.
    """

    backend: ClassVar[str] = "openai"
    key_variable: ClassVar[str] = "OPENAI_API_KEY"
    first_format: ClassVar[ResponseFormat] = "strict"
    """What structured answers are asked for with first."""
    has_top_k: ClassVar[bool] = False

    class Settings(ChatSettings):
        """Settings of an OpenAI chat model."""

        provider_name: ClassVar[str | None] = "openai"
        base_url_names: ClassVar[tuple[str, ...]] = ("openai_base_url",)

        api_key: SecretStr | None = env("OPENAI_API_KEY")
        """The key. Env: `OPENAI_API_KEY`."""
        base_url: str | None = env("OPENAI_BASE_URL")
        """URL of the API, up to `/v1`. Env: `OPENAI_BASE_URL`."""
        openai_base_url: str | None = None
        """Another name of `base_url`."""
        organization: str | None = env("OPENAI_ORG_ID")
        """Who is billed, where a key serves several. Env: `OPENAI_ORG_ID`."""

    def __init__(
        self,
        settings: ChatSettings | None = None,
        *,
        client: OpenAI | None = None,
        aclient: AsyncOpenAI | None = None,
    ) -> None:
        self.settings = settings if settings is not None else self.Settings()
        profile = profile_of(self.settings.model)
        self._reasoning = (
            profile.reasoning
            if self.settings.is_reasoning_model is None
            else self.settings.is_reasoning_model
        )
        self.vision = profile.vision if self.settings.enable_vision is None else self.settings.enable_vision
        self.vision_details = self.settings.vision_details
        self._format: ResponseFormat = self.settings.response_format or self.first_format
        self._renamed: dict[str, str | None] = {}
        self._clients = OpenAIClients(
            self.backend,
            self._client_options(ready=client is not None or aclient is not None),
            proxies=self.settings.http_client_proxies,
            client=client,
            aclient=aclient,
            is_openai=self.backend == "openai" and HOST in (self.settings.base_url or HOST),
        )
        self._retries = Retries(
            OPENAI, self.backend, 1 + self.settings.max_retries, f"Check `api_key` or `{self.key_variable}`."
        )

    @property
    def name(self) -> str:
        """Provider and model."""
        return f"{self.backend}/{self.settings.model}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.settings.model!r})"

    def generate(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema: type[BaseModel] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Completion:
        """Answer; with a schema, as JSON that fits it, in `parsed`.

        Raises:
            AuthenticationError: The key was refused.
            RateLimitError: Too many requests, after retries.
            BackendTimeoutError: No answer in time, after retries.
            BackendUnavailableError: Not reachable or failing, after retries.
            BackendResponseError: An answer that is not of the wire format, or a request the server refuses.
        """
        for _ in range(_MAX_ADAPTATIONS):
            asked = self._format
            request = self._request(messages, schema, tools, asked)
            create = self._clients.client.chat.completions.create
            try:
                return self._completion(self._retries.run(partial(create, **request)), schema)
            except BackendResponseError as error:
                if not self._adapted(error, request, asked):
                    raise
        raise BackendResponseError(f"{self.name} refuses every form of the request.", backend=self.backend)

    async def agenerate(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema: type[BaseModel] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Completion:
        """Async version of [`OpenAILLM.generate`]."""
        await self._clients.aready("chat")
        for _ in range(_MAX_ADAPTATIONS):
            asked = self._format
            request = self._request(messages, schema, tools, asked)
            create = self._clients.aclient.chat.completions.create
            try:
                return self._completion(await self._retries.arun(partial(create, **request)), schema)
            except BackendResponseError as error:
                if not self._adapted(error, request, asked):
                    raise
        raise BackendResponseError(f"{self.name} refuses every form of the request.", backend=self.backend)

    def close(self) -> None:
        """Close the sync client."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close the async client of this event loop."""
        await self._clients.aclose()

    def _client_options(self, *, ready: bool) -> dict[str, Any]:
        settings = self.settings
        key = settings.api_key.get_secret_value() if settings.api_key else None
        if not ready and not key:
            key = self._without_key()
        options: dict[str, Any] = {
            "api_key": key,
            "base_url": settings.base_url,
            "timeout": settings.timeout_s,
            "default_headers": settings.default_headers,
            "organization": getattr(settings, "organization", None),
        }
        return {name: value for name, value in options.items() if value is not None}

    def _without_key(self) -> str:
        """Return a placeholder where the server is not OpenAI's, which may need none."""
        url = self.settings.base_url
        if not url or HOST in url:
            raise no_key(self.backend, self.key_variable)
        return "none"

    def _request(
        self,
        messages: Sequence[ChatMessage],
        schema: type[BaseModel] | None,
        tools: Sequence[Mapping[str, Any]] | None,
        format_: ResponseFormat,
    ) -> dict[str, Any]:
        """Return the arguments of one request; nothing given is changed."""
        settings = self.settings
        request: dict[str, Any] = {
            "model": settings.model,
            "messages": [dict(message) for message in messages],
        }
        if self._reasoning:
            wanted = {
                "max_completion_tokens": settings.max_tokens,
                "reasoning_effort": settings.reasoning_effort,
            }
        else:
            wanted = {
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "max_tokens": settings.max_tokens,
                "reasoning_effort": settings.reasoning_effort,
            }
        if self.backend == "openai":
            wanted["store"] = settings.store
        for name, value in wanted.items():
            target = self._renamed.get(name, name)
            if value is not None and target is not None:
                request[target] = value
        extra = dict(settings.extra_body or {})
        if self.has_top_k and settings.top_k is not None and "top_k" not in self._renamed:
            extra.setdefault("top_k", settings.top_k)
        if extra:
            request["extra_body"] = extra
        if tools:
            request["tools"] = [_tool(tool) for tool in tools]
        if schema is not None:
            self._ask_for(schema, format_, request)
        return request

    def _ask_for(self, schema: type[BaseModel], format_: ResponseFormat, request: dict[str, Any]) -> None:
        if format_ in ("strict", "schema"):
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {
                    "name": schema.__name__,
                    "schema": strict_schema(schema),
                    "strict": format_ == "strict",
                },
            }
            return
        if format_ == "object":
            request["response_format"] = {"type": "json_object"}
        shape = json.dumps(example_of(schema), ensure_ascii=False)
        request["messages"] = _with_note(
            request["messages"], f"Answer with one JSON object in this shape and nothing else: {shape}"
        )

    def _adapted(
        self, error: BackendResponseError, request: Mapping[str, Any], asked: ResponseFormat
    ) -> bool:
        """Return whether what the server refused was changed, so that another try makes sense."""
        if getattr(error, "status", None) not in (400, 404, 415, 422, 501):
            return False
        said = error.message
        refused = self._refused_parameter(said, error.__cause__, request)
        if refused is not None:
            # Newer models of OpenAI renamed it.
            renamed = refused == "max_tokens" and "max_completion_tokens" in said
            self._renamed[refused] = "max_completion_tokens" if renamed else None
            return True
        if "response_format" not in request or _OTHER_CAUSE.search(said):
            return False
        if getattr(error, "status", None) == 404 and not re.search(
            r"response_format|schema|structured", said
        ):
            return False
        if self._format == asked:
            self._format = _WEAKER[asked]
        return True

    def _refused_parameter(self, said: str, cause: object, request: Mapping[str, Any]) -> str | None:
        named: object = getattr(cause, "param", None)
        sent = {**request, **cast("Mapping[str, Any]", request.get("extra_body") or {})}
        for name in _PARAMETERS:
            if (
                name in sent
                and name not in self._renamed
                and (named == name or re.search(rf"\b{name}\b", said))
            ):
                return name if named == name or _REFUSED.search(said) else None
        return None

    def _completion(self, response: Any, schema: type[BaseModel] | None) -> Completion:
        """Read a response; the SDK checks none of it."""
        choices: object = getattr(response, "choices", None)
        if not isinstance(choices, list) or not choices:
            raise BackendResponseError(
                f"{self.name} answered with something that is no chat completion: {shown(response)}. "
                "Check that `base_url` is the API's, usually ending in `/v1`.",
                backend=self.backend,
            )
        choice = cast("Any", choices[0])
        message: Any = getattr(choice, "message", None)
        text = _text(getattr(message, "content", None))
        refusal: object = getattr(message, "refusal", None)
        finish: str | None = getattr(choice, "finish_reason", None)
        if not text and isinstance(refusal, str) and refusal:
            text, finish = refusal, "content_filter"
        counted: Any = getattr(response, "usage", None)
        details: Any = getattr(counted, "prompt_tokens_details", None)
        return Completion(
            text=text,
            parsed=parse_as(text, schema)[0] if schema is not None and text else None,
            tool_calls=_tool_calls(getattr(message, "tool_calls", None)),
            usage=TokenUsage(
                input_tokens=getattr(counted, "prompt_tokens", None) or 0,
                output_tokens=getattr(counted, "completion_tokens", None) or 0,
                cache_read_tokens=getattr(details, "cached_tokens", None) or 0,
            ),
            finish_reason="tool_calls" if finish == "function_call" else finish,
        )


def _with_note(messages: Sequence[Mapping[str, Any]], note: str) -> list[dict[str, Any]]:
    """Return the messages with a line more in the system prompt, which some servers take only as the first."""
    out = [dict(message) for message in messages]
    if out and out[0].get("role") == "system" and isinstance(out[0].get("content"), str):
        out[0]["content"] = f"{out[0]['content']}\n{note}"
        return out
    return [{"role": "system", "content": note}, *out]


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    return tool if "type" in tool and "function" in tool else {"type": "function", "function": tool}


def _text(content: object) -> str:
    """Return the words of a message's content, which some servers send as blocks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts: list[str] = []
    for block in cast("list[object]", content):
        data: object = (
            cast("Mapping[str, object]", block).get("text")
            if isinstance(block, Mapping)
            else getattr(block, "text", None)
        )
        if isinstance(data, str):
            parts.append(data)
    return "".join(parts)


def _tool_calls(calls: object) -> tuple[ToolCall, ...]:
    if not isinstance(calls, list):
        return ()
    out: list[ToolCall] = []
    for index, call in enumerate(cast("list[Any]", calls)):
        function: Any = getattr(call, "function", None)
        if function is None:
            continue
        out.append(
            ToolCall(
                id=call.id or f"call_{index}",
                name=function.name or "",
                arguments=_arguments(function.arguments),
            )
        )
    return tuple(out)


def _arguments(raw: object) -> dict[str, Any]:
    if isinstance(raw, dict):
        return cast("dict[str, Any]", raw)
    try:
        data: object = json.loads(raw, strict=False) if isinstance(raw, str) and raw.strip() else {}
    except ValueError as error:
        raise BackendResponseError(
            f"The model called a tool with arguments that are no JSON: {raw!r:.200}."
        ) from error
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}
