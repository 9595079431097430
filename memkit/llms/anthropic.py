"""Anthropic's messages, the second wire format. Needs the extra `anthropic`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

from pydantic import BaseModel

from memkit.errors import BackendResponseError
from memkit.llms.adapting import ENDINGS
from memkit.llms.base import ChatMessage, Completion, TokenUsage, ToolCall
from memkit.llms.parsing import parse_as
from memkit.llms.schemas import example_of, strict_schema
from memkit.llms.sdk import Clients, Retries, Sdk, no_key, shown
from memkit.llms.settings import ModelSettings
from memkit.settings import SecretStr, env

if TYPE_CHECKING:
    from anthropic import Anthropic, AsyncAnthropic

Json = dict[str, Any]
Asking = Literal["forced", "offered", "plain"]
"""How a structured answer is asked for: a tool it must call, a tool it may call, or words."""

SDK: Final = Sdk(package="anthropic", client="Anthropic", aclient="AsyncAnthropic", error="AnthropicError")
DEFAULT_MODEL: Final = "claude-sonnet-4-6"
HOST: Final = "api.anthropic.com"
MAX_TOKENS: Final = 8192
MAX_BREAKPOINTS: Final = 4
"""Places of a request that may end a cached prefix. Source: the vendor's guide to prompt caching."""

_WEAKER: Final[Mapping[Asking, Asking]] = {"forced": "offered", "offered": "plain"}
_MAX_ADAPTATIONS: Final = 8
# Later models refuse them, and so does the vendor's current SDK as arguments.
_SAMPLES: Final = re.compile(
    r"^(?!claude-)|^claude-(?:[1-3]|instant|(?:opus|sonnet|haiku)-4(?:$|-[0-6]\b|-\d{8}))"
)
_BLIND: Final = re.compile(r"^claude-(?:[12]\b|instant)")
_SAMPLING: Final = ("top_p", "top_k", "temperature")
_REFUSED: Final = re.compile(
    r"not.support|unsupported|does not support|not.permitted|not.allowed|cannot|deprecated|extra inputs|unexpected"
    r"|unknown|may not|incompatible|invalid",
    re.IGNORECASE,
)
_TOO_MANY: Final = re.compile(r"max_tokens: \d+ > (\d+)")
_DATA_URL: Final = re.compile(r"data:([\w.+/-]+)[^,]*;base64,(.*)", re.DOTALL)


class AnthropicLLM:
    """A chat model of Anthropic, or behind any server of the same wire format.

    A structured answer is the argument of a tool that the model has to call. What stays the same from call to call,
    the tools and the system prompt, is marked for the prompt cache.

    Args:
        settings: None reads the environment.
        client: A ready `anthropic.Anthropic`; its key, URL, timeout and proxies are used as they are.
        aclient: A ready `anthropic.AsyncAnthropic`.

    Raises:
        ConfigurationError: No key was given, and the server needs one.
    """

    backend: ClassVar[str] = "anthropic"

    class Settings(ModelSettings):
        """Settings of a chat model of Anthropic."""

        provider_name: ClassVar[str | None] = "anthropic"
        base_url_names: ClassVar[tuple[str, ...]] = ("anthropic_base_url",)

        model: str = DEFAULT_MODEL
        """Name of the model."""
        api_key: SecretStr | None = env("ANTHROPIC_API_KEY")
        """The key. Env: `ANTHROPIC_API_KEY`."""
        base_url: str | None = env("ANTHROPIC_BASE_URL")
        """URL of the API, with or without `/v1`. Env: `ANTHROPIC_BASE_URL`."""
        anthropic_base_url: str | None = None
        """Another name of `base_url`."""
        max_tokens: int | None = None
        """Tokens of one answer, those of thinking included; None is 8192, or what the model gives at most."""
        temperature: float | None = 0.1
        """0 to 1. Left out where `top_p` is given and this is not: most models take one of the two."""
        top_k: int | None = None
        """How many of the likeliest tokens are sampled from."""
        enable_sampling_parameters: bool | None = None
        """Whether `temperature`, `top_p` and `top_k` are sent; None goes by the model's name, as later ones refuse."""
        reasoning_effort: str | None = None
        """`low`, `medium`, `high`, `xhigh` or `max`, for models that have the choice."""
        vision_details: Literal["auto", "low", "high"] = "auto"
        """Taken and not sent: the vendor has no such choice."""
        prompt_cache: Literal["5m", "1h"] | None = "5m"
        """How long tools and system prompt stay in the vendor's cache after their last use; None marks nothing."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        client: Anthropic | None = None,
        aclient: AsyncAnthropic | None = None,
    ) -> None:
        self.settings = settings if settings is not None else self.Settings()
        name = self.settings.model.lower().rpartition("/")[2]
        seen = self.settings.enable_vision
        self.vision = _BLIND.search(name) is None if seen is None else seen
        self.vision_details = self.settings.vision_details
        self._asking: Asking = "forced"
        self._most = self.settings.max_tokens or MAX_TOKENS
        self._extra = self._parameters(_SAMPLES.search(name) is not None)
        self._cached = self.settings.prompt_cache is not None
        self._clients: Clients[Anthropic, AsyncAnthropic] = Clients(
            SDK,
            self.backend,
            self._client_options(ready=client is not None or aclient is not None),
            proxies=self.settings.http_client_proxies,
            client=client,
            aclient=aclient,
        )
        self._retries = Retries(
            SDK, self.backend, 1 + self.settings.max_retries, "Check `api_key` or `ANTHROPIC_API_KEY`."
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
            BackendUnavailableError: Not reachable, overloaded or failing, after retries.
            BackendResponseError: An answer that is not of the wire format, or a request the server refuses.
        """
        for _ in range(_MAX_ADAPTATIONS):
            asked = self._asking
            request = self._request(messages, schema, tools, asked)
            create = cast("Any", self._clients.client.messages.create)
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
        """Async version of [`AnthropicLLM.generate`]."""
        await self._clients.aready("messages")
        for _ in range(_MAX_ADAPTATIONS):
            asked = self._asking
            request = self._request(messages, schema, tools, asked)
            create = cast("Any", self._clients.aclient.messages.create)
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

    # The request.

    def _client_options(self, *, ready: bool) -> Json:
        settings = self.settings
        url = settings.base_url
        key = settings.api_key.get_secret_value() if settings.api_key else None
        if not ready and not key:
            if not url or HOST in url:
                raise no_key(self.backend, "ANTHROPIC_API_KEY")
            key = "none"
        options: Json = {
            "api_key": key,
            # The SDK adds the version by itself.
            "base_url": url.rstrip("/").removesuffix("/v1") if url else None,
            "timeout": settings.timeout_s,
            "default_headers": settings.default_headers,
        }
        return {name: value for name, value in options.items() if value is not None}

    def _parameters(self, samples: bool) -> Json:
        """Return the fields of every request that some models refuse."""
        settings = self.settings
        if settings.enable_sampling_parameters is not None:
            samples = settings.enable_sampling_parameters
        # Most models take one of the two, and the temperature that nobody asked for gives way.
        either = settings.top_p is None or "temperature" in settings.model_fields_set
        sampling = {
            "temperature": settings.temperature if either else None,
            "top_p": settings.top_p,
            "top_k": settings.top_k,
        }
        fields: Json = {name: value for name, value in sampling.items() if samples and value is not None}
        if settings.reasoning_effort is not None:
            fields["output_config"] = {"effort": settings.reasoning_effort}
        return fields

    def _request(
        self,
        messages: Sequence[ChatMessage],
        schema: type[BaseModel] | None,
        tools: Sequence[Mapping[str, Any]] | None,
        asking: Asking,
    ) -> Json:
        """Return the arguments of one request; nothing given is changed."""
        system, turns = _parts(messages)
        request: Json = {"model": self.settings.model, "max_tokens": self._most, "messages": turns}
        offered = [_tool(tool) for tool in tools or ()]
        if schema is not None and asking == "plain":
            shape = json.dumps(example_of(schema), ensure_ascii=False)
            system.append(_text(f"Answer with one JSON object in this shape and nothing else: {shape}"))
        elif schema is not None:
            name = _tool_name(schema)
            offered.append(
                {
                    "name": name,
                    "description": "Takes the whole answer. Call it once.",
                    "input_schema": strict_schema(schema),
                }
            )
            if asking == "offered":
                system.append(_text(f"Give the answer by calling the tool `{name}`, once."))
            elif tools:
                request["tool_choice"] = {"type": "any"}
            else:
                request["tool_choice"] = {"type": "tool", "name": name, "disable_parallel_tool_use": True}
        if offered:
            request["tools"] = offered
        if system:
            request["system"] = system
        if self._cached:
            _mark(request, self.settings.prompt_cache)
        if extra := {**self._extra, **(self.settings.extra_body or {})}:
            request["extra_body"] = extra
        return request

    def _adapted(self, error: BackendResponseError, request: Mapping[str, Any], asked: Asking) -> bool:
        """Return whether what the server refused was changed, so that another try makes sense."""
        if getattr(error, "status", None) not in (400, 404, 422):
            return False
        said = error.message
        if (most := _TOO_MANY.search(said)) and int(most[1]) < request["max_tokens"]:
            self._most = int(most[1])
            return True
        if not _REFUSED.search(said):
            return False
        sent = cast("Mapping[str, Any]", request.get("extra_body") or {})
        for name in (*_SAMPLING, "output_config"):
            word = "effort|output_config" if name == "output_config" else name
            if name in sent and re.search(rf"\b(?:{word})\b", said):
                self._extra = {key: value for key, value in self._extra.items() if key != name}
                return name not in (self.settings.extra_body or {})
        if "cache_control" in said and self._cached:
            self._cached = False
            return True
        if "tool" not in said or "tools" not in request or asked not in _WEAKER:
            return False
        if self._asking == asked:
            self._asking = _WEAKER[asked]
        return True

    # The answer.

    def _completion(self, response: Any, schema: type[BaseModel] | None) -> Completion:
        """Read a response; the SDK checks none of it."""
        content: object = getattr(response, "content", None)
        if not isinstance(content, list):
            raise BackendResponseError(
                f"{self.name} answered with something that is no message: {shown(response)}. "
                "Check that `base_url` is the API's.",
                backend=self.backend,
            )
        blocks = cast("list[Any]", content)
        ending: object = getattr(response, "stop_reason", None)
        finish = ENDINGS.get(ending) if isinstance(ending, str) else None
        text = "".join(
            block.text for block in blocks if _is(block, "text", "text") and isinstance(block.text, str)
        )
        calls = [block for block in blocks if _is(block, "tool_use", "id", "name", "input")]
        parsed: BaseModel | None = None
        if schema is not None:
            name = _tool_name(schema)
            answers = [call for call in calls if call.name == name]
            calls = [call for call in calls if call.name != name]
            if answers:
                # Several are not one: what the others say must not be lost without a word.
                given = answers[0].input if len(answers) == 1 else [answer.input for answer in answers]
                text, parsed = _answer(given, schema)
                finish = "stop" if finish == "tool_calls" and not calls else finish
            elif text:
                parsed = parse_as(text, schema)[0]
        if finish == "content_filter" and not text:
            text = str(getattr(getattr(response, "stop_details", None), "explanation", None) or "")
        return Completion(
            text=text,
            parsed=parsed,
            tool_calls=tuple(
                ToolCall(id=str(call.id), name=str(call.name), arguments=_arguments(call.input))
                for call in calls
            ),
            usage=_usage(getattr(response, "usage", None)),
            finish_reason=finish,
        )


def _is(block: object, kind: str, *fields: str) -> bool:
    return getattr(block, "type", None) == kind and all(hasattr(block, field) for field in fields)


def _answer(given: object, schema: type[BaseModel]) -> tuple[str, BaseModel | None]:
    """Return what a model gave to the answer's tool as text, and as the schema where it fits."""
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    parsed = parse_as(text, schema)[0]
    if parsed is None and isinstance(given, Mapping):
        # Lists in the argument now and then come as a text that holds JSON.
        plain = {key: _unquoted(value) for key, value in cast("Mapping[str, object]", given).items()}
        parsed = parse_as(json.dumps(plain, ensure_ascii=False), schema)[0]
    return text, parsed


def _unquoted(value: object) -> object:
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value, strict=False)
    except ValueError:
        return value


def _arguments(given: object) -> Json:
    return cast("Json", given) if isinstance(given, dict) else {}


def _usage(counted: Any) -> TokenUsage:
    """Return the tokens; the vendor counts those of the cache beside the others."""
    plain, written, read, said = (
        getattr(counted, name, None) or 0
        for name in (
            "input_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
            "output_tokens",
        )
    )
    return TokenUsage(
        input_tokens=plain + written + read,
        output_tokens=said,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


# From the messages of chat completions to those of Anthropic.


def _parts(messages: Sequence[ChatMessage]) -> tuple[list[Json], list[Json]]:
    """Return the blocks of the system prompt, and turns of alternating roles that begin with the user's."""
    system: list[Json] = []
    turns: list[Json] = []
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if role in ("system", "developer"):
            system += _blocks(content)
            continue
        if role in ("tool", "function"):
            answered = {"type": "tool_result", "tool_use_id": str(message.get("tool_call_id") or "")}
            blocks: list[Json] = [{**answered, "content": _blocks(content)}]
        else:
            blocks = [*_blocks(content), *_calls(message.get("tool_calls"))]
        speaker = "assistant" if role == "assistant" else "user"
        if blocks and turns and turns[-1]["role"] == speaker:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": speaker, "content": blocks})
    if not turns:
        # A request without a turn is refused.
        return [], [{"role": "user", "content": system}]
    if turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [_text("(The conversation began earlier.)")]})
    return system, turns


def _text(words: str) -> Json:
    return {"type": "text", "text": words}


def _blocks(content: object) -> list[Json]:
    """Return the blocks of a message's content; empty words are left out, as the vendor refuses them."""
    if isinstance(content, str):
        return [_text(content)] if content.strip() else []
    out: list[Json] = []
    for part in cast("Sequence[object]", content or ()):
        if isinstance(part, str):
            out += _blocks(part)
            continue
        block = dict(cast("Mapping[str, Any]", part))
        if block.get("type") in ("text", "input_text", "output_text"):
            if str(block.get("text") or "").strip():
                out.append({**block, "type": "text"})
        elif block.get("type") in ("image_url", "input_image"):
            out.append({"type": "image", "source": _source(block.get("image_url"))})
        else:
            out.append(block)
    return out


def _source(given: object) -> Json:
    """Return where an image comes from: its own bytes where its URL holds them."""
    url = str(cast("Mapping[str, object]", given).get("url") if isinstance(given, Mapping) else given)
    if (data := _DATA_URL.fullmatch(url)) is None:
        return {"type": "url", "url": url}
    kind = "image/jpeg" if data[1] == "image/jpg" else data[1]
    return {"type": "base64", "media_type": kind, "data": data[2]}


def _calls(calls: object) -> list[Json]:
    """Return the tool calls of an assistant's turn as blocks."""
    out: list[Json] = []
    for call in cast("Sequence[Mapping[str, Any]]", calls or ()):
        function = cast("Mapping[str, Any]", call.get("function") or call)
        given = function.get("arguments", call.get("args"))
        values: object = json.loads(given or "{}") if isinstance(given, str) else given
        out.append(
            {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": values or {}}
        )
    return out


def _tool(tool: Mapping[str, Any]) -> Json:
    """Return a tool of any vendor's shape in Anthropic's."""
    if "input_schema" in tool or tool.get("type", "function") != "function":
        return dict(tool)
    function = cast("Mapping[str, Any]", tool.get("function") or tool)
    out: Json = {"name": function["name"], "input_schema": {"type": "object", "properties": {}}}
    if described := function.get("description"):
        out["description"] = described
    if takes := function.get("parameters"):
        out["input_schema"] = takes
    return out


def _tool_name(schema: type[BaseModel]) -> str:
    return re.sub(r"[^\w-]", "_", schema.__name__, flags=re.ASCII)[:64]


def _mark(request: Json, ttl: str | None) -> None:
    """Let the cached prefix of a request end after its system prompt, else after its tools.

    A place that the caller marked stays, and nothing is added where there are as many as may be.
    """
    prefix = cast("list[Json]", request.get("system") or request.get("tools") or [])
    said = [block for turn in request["messages"] for block in turn["content"]]
    marked = sum(
        "cache_control" in block for block in (*request.get("tools", ()), *request.get("system", ()), *said)
    )
    if prefix and "cache_control" not in prefix[-1] and marked < MAX_BREAKPOINTS:
        how = {"type": "ephemeral", **({"ttl": ttl} if ttl == "1h" else {})}
        prefix[-1] = {**prefix[-1], "cache_control": how}
