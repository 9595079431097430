"""The server over streamable HTTP: who may reach it, and whose memories they see.

Every request stands alone and is answered as JSON: there is no session that one user could open and another enter.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError
from memkit.scope import IdLike

from ..spec import Mode
from .server import UserOf, build_server, subject_of

if TYPE_CHECKING:
    from mcp.server.auth.provider import TokenVerifier
    from mcp.server.auth.settings import AuthSettings
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH: Final = "/mcp"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_GRACE_S: Final = 3


def build_app(
    memory: Memory | AsyncMemory,
    *,
    user_id: IdLike | None = None,
    agent_id: IdLike | None = None,
    mode: Mode = "read_write",
    token_verifier: TokenVerifier | None = None,
    auth: AuthSettings | None = None,
    user_of: UserOf = subject_of,
    host: str = "127.0.0.1",
    path: str = PATH,
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
) -> Starlette:
    """Return an ASGI app that serves streamable HTTP at `path`, for uvicorn or as part of an app of yours.

    With `token_verifier` every request needs a token, and sees the memories of whom it was issued for. Without it all
    requests see those of `user_id`, and only a loopback address may be bound.

    Args:
        memory: Stays yours to close.
        user_id: Whose memories, where there is no verifier.
        agent_id: The agent they belong to.
        mode: Which tools are offered.
        token_verifier: Of the MCP SDK: `async verify_token(token) -> AccessToken | None`.
        auth: The SDK's settings, to tell clients which server issues tokens and which scopes are needed.
        user_of: Whom a verified token stands for; its subject by default.
        host: The address that will be bound.
        path: Where the endpoint is.
        allowed_hosts: `Host` headers to accept besides the loopback names and `host`; `name:*` for any port.
        allowed_origins: `Origin` headers to accept besides those of the loopback names.

    Raises:
        ConfigurationError: Others could reach memories without a token, or it is not clear whose memories are served.
        ScopeError: A blank id, or one outside a bound memory's.
    """
    check_address(host, verified=token_verifier is not None)
    if (user_id is None) == (token_verifier is None):
        raise ConfigurationError(
            "Whose memories? Give either `user_id`, for one user, or `token_verifier`, for whom each token names."
        )
    if token_verifier is not None and _is_any(host) and not allowed_hosts:
        raise ConfigurationError(
            f"Binding {host} needs `allowed_hosts`: the names that clients call it by, such as ['memory.example.com']."
        )
    server = build_server(memory, user_id=user_id, agent_id=agent_id, mode=mode, user_of=user_of)

    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.applications import Starlette
    from starlette.routing import Route

    names = [*_LOOPBACK, *([] if host in _LOOPBACK or _is_any(host) else [_bracketed(host)])]
    manager = StreamableHTTPSessionManager(
        app=server,
        json_response=True,
        stateless=True,
        security_settings=TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=[*names, *(f"{name}:*" for name in names), *allowed_hosts],
            allowed_origins=[*(f"http://{name}:*" for name in _LOOPBACK), *allowed_origins],
        ),
    )
    endpoint, middleware, routes = _guarded(_Endpoint(manager), token_verifier, auth)
    return Starlette(
        routes=[Route(path, endpoint=endpoint), *routes],
        middleware=middleware,
        lifespan=lambda _: manager.run(),
    )


def run_http(
    memory: AsyncMemory, *, user_id: str, agent_id: str | None, mode: Mode, host: str, port: int
) -> None:
    """Serve one scope on a loopback address until the process is told to end, then close the memory.

    Args:
        memory: Opened at the first call of a tool.
        user_id: Whose memories.
        agent_id: The agent they belong to.
        mode: Which tools are offered.
        host: The address to bind.
        port: 0 takes a free one; standard error says which.

    Raises:
        ConfigurationError: As `build_app` does, or the address cannot be bound.
    """
    app = build_app(memory, user_id=user_id, agent_id=agent_id, mode=mode, host=host)
    asyncio.run(_serve(app, memory, host, port))


async def _serve(app: Starlette, memory: AsyncMemory, host: str, port: int) -> None:
    import uvicorn

    with _bound(host, port) as bound:
        # Of a socket that is handed to it, asyncio does not know that it is TCP, and leaves answers waiting for 40 ms.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # uvicorn ends at these by itself and then raises them once more, which must not cost the rest its turn.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _nothing)
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=_GRACE_S)
        url = f"http://{_bracketed(host)}:{bound.getsockname()[1]}{PATH}"
        sys.stderr.write(f"memkit: {url}\n")
        async with memory:
            await uvicorn.Server(config).serve(sockets=[bound])


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigurationError(
            f"{_bracketed(host)}:{port} cannot be bound: {error.strerror}. Give another --port; 0 takes a free one.",
            field="port",
        ) from error


def _nothing(number: int, frame: FrameType | None) -> None:
    del number, frame


def check_address(host: str, *, verified: bool) -> None:
    """Refuse an address that others can reach where nothing says who they are.

    Raises:
        ConfigurationError: It is none of the loopback's, and there is no token verifier.
    """
    if not verified and not _is_loopback(host):
        raise ConfigurationError(
            f"Binding {host} would show these memories to whoever reaches it. Bind 127.0.0.1, or serve "
            "`memkit_tools.mcp.build_app(memory, token_verifier=...)`, which asks for a token.",
            field="host",
        )


class _Endpoint:
    """The SDK's request handler as an ASGI app; a plain function would be taken for one of Starlette's views."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._manager.handle_request(scope, receive, send)


def _guarded(
    endpoint: ASGIApp, verifier: TokenVerifier | None, auth: AuthSettings | None
) -> tuple[ASGIApp, list[Middleware], list[Any]]:
    """Return the endpoint behind a check of tokens, what the check needs, and the pages that explain it."""
    if verifier is None:
        return endpoint, [], []
    from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
    from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
    from starlette.middleware import Middleware
    from starlette.middleware.authentication import AuthenticationMiddleware

    routes: list[Any] = []
    scopes: list[str] = []
    explained = None
    if auth is not None:
        scopes = auth.required_scopes or []
        if auth.resource_server_url is not None:
            explained = build_resource_metadata_url(auth.resource_server_url)
            routes = list(
                create_protected_resource_routes(
                    resource_url=auth.resource_server_url,
                    authorization_servers=[auth.issuer_url],
                    scopes_supported=auth.required_scopes,
                )
            )
    checks = [Middleware(AuthenticationMiddleware, backend=BearerAuthBackend(verifier))]
    return RequireAuthMiddleware(endpoint, scopes, explained), checks, routes


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::", "[::]", "")  # noqa: S104  # compared, not bound


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
