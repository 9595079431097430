"""Vendors and servers that speak OpenAI's wire format: one row each. Needs the extra `openai`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import create_model

from memkit.errors import ConfigurationError
from memkit.llms.openai import ChatSettings, OpenAILLM, ResponseFormat
from memkit.llms.sdk import no_key
from memkit.settings import SecretStr, env

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """What differs from OpenAI; the wire format does not."""

    base_url: str | None
    """None where the caller must say it."""
    model: str | None
    """The default; None where there is no sensible one."""
    key_variable: str | None
    """Environment variable of the key; None for servers that need none."""
    url_variable: str | None = None
    """Environment variable of the URL."""
    response_format: ResponseFormat = "object"
    """What structured answers are asked for with first; a refusal leads to the next weaker one."""
    top_k: bool = False
    """Whether it samples with `top_k`."""


VENDORS: Final[Mapping[str, Vendor]] = {
    "cerebras": Vendor(
        base_url="https://api.cerebras.ai/v1", model="gpt-oss-120b", key_variable="CEREBRAS_API_KEY",
        response_format="strict",
    ),
    "deepseek": Vendor(
        base_url="https://api.deepseek.com", model="deepseek-chat", key_variable="DEEPSEEK_API_KEY",
        url_variable="DEEPSEEK_API_BASE",
    ),
    "fireworks": Vendor(
        base_url="https://api.fireworks.ai/inference/v1", model="accounts/fireworks/models/gpt-oss-120b",
        key_variable="FIREWORKS_API_KEY", response_format="schema", top_k=True,
    ),
    "groq": Vendor(
        base_url="https://api.groq.com/openai/v1", model="llama-3.3-70b-versatile", key_variable="GROQ_API_KEY"
    ),
    "lmstudio": Vendor(
        base_url="http://localhost:1234/v1", model=None, key_variable=None, url_variable="LMSTUDIO_BASE_URL",
        response_format="schema", top_k=True,
    ),
    "minimax": Vendor(
        base_url="https://api.minimax.io/v1", model="MiniMax-M2.7", key_variable="MINIMAX_API_KEY",
        url_variable="MINIMAX_API_BASE", response_format="plain",
    ),
    "mistral": Vendor(
        base_url="https://api.mistral.ai/v1", model="mistral-small-latest", key_variable="MISTRAL_API_KEY",
        response_format="schema",
    ),
    "moonshot": Vendor(
        base_url="https://api.moonshot.ai/v1", model="kimi-k2-turbo-preview", key_variable="MOONSHOT_API_KEY"
    ),
    "ollama": Vendor(
        base_url="http://localhost:11434/v1", model="llama3.1", key_variable=None, url_variable="OLLAMA_BASE_URL",
        response_format="schema", top_k=False,
    ),
    "openrouter": Vendor(
        base_url="https://openrouter.ai/api/v1", model="openai/gpt-5-mini", key_variable="OPENROUTER_API_KEY",
        url_variable="OPENROUTER_API_BASE", response_format="strict", top_k=True,
    ),
    "sarvam": Vendor(
        base_url="https://api.sarvam.ai/v1", model="sarvam-m", key_variable="SARVAM_API_KEY",
        url_variable="SARVAM_API_BASE", response_format="plain",
    ),
    "together": Vendor(
        base_url="https://api.together.xyz/v1", model="MiniMaxAI/MiniMax-M3", key_variable="TOGETHER_API_KEY",
        response_format="schema", top_k=True,
    ),
    "vllm": Vendor(
        base_url="http://localhost:8000/v1", model="Qwen/Qwen2.5-32B-Instruct", key_variable="VLLM_API_KEY",
        url_variable="VLLM_BASE_URL", response_format="schema", top_k=True,
    ),
    "xai": Vendor(
        base_url="https://api.x.ai/v1", model="grok-4.3", key_variable="XAI_API_KEY", url_variable="XAI_API_BASE",
        response_format="strict",
    ),
}  # fmt: skip
"""Every vendor, sorted. Sources: their API references; a server's own refusals correct what has changed since."""

_NO_KEY_NEEDED: Final = frozenset({"vllm"})


class CompatibleLLM(OpenAILLM):
    """A chat model of a vendor in the table.

    Raises:
        ConfigurationError: The vendor needs a key or a model, and none was given.
    """

    vendor: ClassVar[Vendor]

    def __init__(
        self,
        settings: ChatSettings | None = None,
        *,
        client: OpenAI | None = None,
        aclient: AsyncOpenAI | None = None,
    ) -> None:
        settings = settings if settings is not None else self.Settings()
        if not settings.model:
            raise ConfigurationError(
                f"{self.backend} serves whatever was loaded: pass `model=`, as its list of models names it.",
                field="model",
            )
        super().__init__(settings, client=client, aclient=aclient)

    def _without_key(self) -> str:
        variable = self.vendor.key_variable
        if (
            variable is None
            or self.backend in _NO_KEY_NEEDED
            or self.settings.base_url != self.vendor.base_url
        ):
            return "none"
        raise no_key(self.backend, variable)


def _llm(name: str, label: str) -> type[CompatibleLLM]:
    """Return the class of a vendor, with settings that read its own environment variables."""
    vendor = VENDORS[name]
    key = env(vendor.key_variable) if vendor.key_variable else None
    url = env(vendor.url_variable, vendor.base_url) if vendor.url_variable else vendor.base_url
    fields: dict[str, Any] = {
        "model": (str, vendor.model or ""),
        "api_key": (SecretStr | None, key),
        "base_url": (str | None, url),
    }
    settings = create_model(
        f"{label}Settings",
        __base__=ChatSettings,
        __module__=__name__,
        __doc__=f"Settings of {label}.",
        **fields,
    )
    settings.provider_name = name
    settings.base_url_names = (f"{name}_base_url",)
    settings.replaced = {
        **({key: hint for key, hint in ChatSettings.replaced.items() if name != "openrouter"}),
        "lmstudio_response_format": "pass `response_format=`: strict, schema, object or plain",
    }
    return type(
        f"{label}LLM",
        (CompatibleLLM,),
        {
            "__doc__": f"A chat model of {label}.",
            "__module__": __name__,
            "Settings": settings,
            "backend": name,
            "key_variable": vendor.key_variable or "",
            "first_format": vendor.response_format,
            "has_top_k": vendor.top_k,
            "vendor": vendor,
        },
    )


CerebrasLLM: Final = _llm("cerebras", "Cerebras")
DeepSeekLLM: Final = _llm("deepseek", "DeepSeek")
FireworksLLM: Final = _llm("fireworks", "Fireworks")
GroqLLM: Final = _llm("groq", "Groq")
LMStudioLLM: Final = _llm("lmstudio", "LMStudio")
MiniMaxLLM: Final = _llm("minimax", "MiniMax")
MistralLLM: Final = _llm("mistral", "Mistral")
MoonshotLLM: Final = _llm("moonshot", "Moonshot")
OllamaLLM: Final = _llm("ollama", "Ollama")
OpenRouterLLM: Final = _llm("openrouter", "OpenRouter")
SarvamLLM: Final = _llm("sarvam", "Sarvam")
TogetherLLM: Final = _llm("together", "Together")
VLLMLLM: Final = _llm("vllm", "VLLM")
XAILLM: Final = _llm("xai", "XAI")
