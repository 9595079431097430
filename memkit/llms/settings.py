"""What the settings of every chat model share, with mem0's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from memkit.errors import ConfigurationError
from memkit.settings import ProviderSettings, SecretStr


class ModelSettings(ProviderSettings):
    """What every chat model takes, whatever its wire format."""

    base_url_names: ClassVar[tuple[str, ...]] = ()
    """Other names of `base_url`."""
    replaced: ClassVar[Mapping[str, str]] = {}
    """Keys of mem0 that are gone, and what to do in their place."""

    model: str
    """Name of the model."""
    api_key: SecretStr | None = None
    """The key."""
    base_url: str | None = None
    """URL of the API."""
    temperature: float | None = 0.1
    """0 to 2."""
    top_p: float | None = None
    """0 to 1."""
    top_k: int | None = None
    """How many of the likeliest tokens are sampled from."""
    max_tokens: int | None = None
    """Tokens of one answer."""
    reasoning_effort: str | None = None
    """How much a reasoning model thinks."""
    enable_vision: bool | None = None
    """Whether images are sent; None goes by the model's name."""
    vision_details: Literal["auto", "low", "high"] = "auto"
    """How closely images are looked at."""
    http_client_proxies: str | dict[str, str] | None = None
    """A proxy URL, or proxy URLs by pattern: `{"https://": "http://localhost:8030"}`."""
    default_headers: dict[str, str] | None = None
    """Headers of every request."""
    extra_body: dict[str, Any] | None = None
    """Further fields of the request body, for what has no setting here."""
    timeout_s: float = 60.0
    """Seconds for one try."""
    max_retries: int = 2
    """Tries after the first; there are never fewer than two."""

    def __init__(self, **data: Any) -> None:
        for key in list(data):
            if key in self.replaced:
                raise ConfigurationError(f"`{key}` is gone: {self.replaced[key]}.", key=key)
            if key in self.base_url_names:
                value = data.pop(key)
                if value is not None and data.get("base_url") not in (None, value):
                    raise ConfigurationError(
                        f"`{key}` and `base_url` say different things; keep `base_url`.", key=key
                    )
                if value is not None:
                    data["base_url"] = value
        super().__init__(**data)
