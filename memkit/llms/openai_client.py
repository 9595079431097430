"""The clients of OpenAI's SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from memkit.llms.sdk import Clients, Sdk

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

HOST: Final = "api.openai.com"
"""Where OpenAI itself answers; any other server speaks its wire format and may need no key."""
OPENAI: Final = Sdk(package="openai", client="OpenAI", aclient="AsyncOpenAI", error="OpenAIError")


class OpenAIClients(Clients["OpenAI", "AsyncOpenAI"]):
    """Clients of OpenAI, or of any server of the same wire format.

    Args:
        backend: Name for messages, such as `openai`.
        options: Arguments of the SDK's clients.
        proxies: A proxy URL, or a mapping of URL patterns to proxy URLs.
        client: A ready sync client to use instead.
        aclient: A ready async client to use instead.
        is_openai: Whether the server is OpenAI's own; only there the account's ids of the environment are sent.
    """

    def __init__(
        self,
        backend: str,
        options: Mapping[str, Any],
        *,
        proxies: str | Mapping[str, str] | None = None,
        client: OpenAI | None = None,
        aclient: AsyncOpenAI | None = None,
        is_openai: bool = True,
    ) -> None:
        super().__init__(OPENAI, backend, options, proxies=proxies, client=client, aclient=aclient)
        self._is_openai = is_openai

    def _made(self, name: str, transport: str) -> Any:
        made = super()._made(name, transport)
        if not self._is_openai:
            # The SDK reads them from the environment, for other vendors too.
            made.organization = made.project = None
        return made
