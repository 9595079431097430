"""The surface bound to the MCP SDK, 1.x and 2.x: the one file that knows that there are two."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, cast

from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError
from memkit.scope import IdLike

from ..spec import Mode
from .offer import INSTRUCTIONS, SERVER, Json, ProtocolError
from .surface import MemoryOf, Surface

if TYPE_CHECKING:
    from mcp.server.auth.provider import AccessToken
    from mcp.server.lowlevel import Server

UserOf = Callable[["AccessToken"], str | None]
Answer = Callable[[str, Json, object], Awaitable[Json]]

_FIELDS: Final = ("name", "arguments", "uri")
_KINDS: Final = {
    "tools/list": "ListTools",
    "tools/call": "CallTool",
    "resources/list": "ListResources",
    "resources/templates/list": "ListResourceTemplates",
    "resources/read": "ReadResource",
    "prompts/list": "ListPrompts",
    "prompts/get": "GetPrompt",
}
_UNAUTHORIZED: Final = -32600


def subject_of(token: AccessToken) -> str | None:
    """Return whom a verified token was issued for: its subject, never the program that carries it."""
    subject: object = token.subject or (token.claims or {}).get("sub")
    return None if subject is None else str(subject)


def build_server(
    memory: Memory | AsyncMemory,
    *,
    user_id: IdLike | None = None,
    agent_id: IdLike | None = None,
    mode: Mode = "read_write",
    user_of: UserOf = subject_of,
) -> Server[Any]:
    """Return a server of the MCP SDK that is installed, 1.x or 2.x, for transports of your own.

    Without `user_id` whoever asks is the subject of the request's verified token, and a request without one is refused.
    No argument of a tool, and no header, names anybody.

    Args:
        memory: Stays yours to close.
        user_id: Whose memories, for all requests.
        agent_id: The agent they belong to.
        mode: Which tools are offered.
        user_of: Whom a verified token stands for; its subject by default.

    Raises:
        ScopeError: A blank id, or one outside a bound memory's.
        ConfigurationError: The mode is unknown, or `mcp` is not installed.
    """
    surface = Surface(mode)
    base = memory.to_async()
    if user_id is not None:
        base.bind(
            user_id=user_id, agent_id=agent_id
        )  # an id that cannot be used is an error now, not at each request

    def memory_of(request: object) -> MemoryOf:
        user = _user(request, user_of) if user_id is None else user_id
        return lambda: base.bind(user_id=user, agent_id=agent_id)

    async def answer(method: str, params: Json, request: object) -> Json:
        return await surface.answer(method, params, memory_of(request))

    try:
        from mcp.server.lowlevel import Server
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "This needs the MCP SDK. Type: pip install 'memkit-tools[mcp]'", module=error.name
        ) from error
    return _second(answer) if hasattr(Server, "add_request_handler") else _first(answer)


def _user(request: object, user_of: UserOf) -> str:
    """Return whose request it is; only the middleware that verified a token puts a user into the scope."""
    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser

    scope = cast("Json", getattr(request, "scope", None) or {})
    user = scope.get("user")
    named = user_of(user.access_token) if isinstance(user, AuthenticatedUser) else None
    if not named:
        raise ProtocolError(
            _UNAUTHORIZED, "Whose memories? The request has no verified token with a subject."
        )
    return named


def _params(given: object) -> Json:
    """Return what was sent of the fields that the surface reads."""
    values = {name: getattr(given, name, None) for name in _FIELDS}
    return {
        name: str(value) if name == "uri" else value for name, value in values.items() if value is not None
    }


def _second(answer: Answer) -> Server[Any]:
    import mcp.types as types
    from mcp import MCPError
    from mcp.server.lowlevel import Server

    server: Server[Any] = Server(
        SERVER["name"], version=SERVER["version"], title=SERVER["title"], instructions=INSTRUCTIONS
    )

    def handler(method: str, kind: str) -> Callable[[Any, Any], Awaitable[Any]]:
        result = getattr(types, f"{kind}Result")

        async def handle(context: Any, params: Any) -> Any:
            try:
                return result.model_validate(await answer(method, _params(params), context.request))
            except ProtocolError as error:
                raise MCPError(code=error.code, message=str(error), data=error.data) from error

        return handle

    for method, kind in _KINDS.items():
        name = "PaginatedRequestParams" if method.endswith("/list") else f"{kind}RequestParams"
        server.add_request_handler(method, getattr(types, name), handler(method, kind))
    return server


def _first(answer: Answer) -> Server[Any]:
    import mcp.types
    from mcp.server.lowlevel import Server
    from mcp.shared import exceptions

    types, make, errors = cast("Any", mcp.types), cast("Any", Server), cast("Any", exceptions)
    server = make(SERVER["name"], version=SERVER["version"], instructions=INSTRUCTIONS)

    def handler(method: str, kind: str) -> Callable[[Any], Awaitable[Any]]:
        result = getattr(types, f"{kind}Result")

        async def handle(message: Any) -> Any:
            request = server.request_context.request
            try:
                made = await answer(method, _params(message.params), request)
            except ProtocolError as error:
                data = types.ErrorData(code=error.code, message=str(error), data=error.data)
                raise errors.McpError(data) from error
            return types.ServerResult(result.model_validate(made))

        return handle

    # Registered without the decorators, which would check arguments in words that tell a model less.
    for method, kind in _KINDS.items():
        server.request_handlers[getattr(types, f"{kind}Request")] = handler(method, kind)
    return cast("Server[Any]", server)
