"""What all commands share: the options of each, the memory they open, and how they fail."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, cast

import typer

from ..errors import InvalidInputError, MemkitError, MemoryNotFoundError, OperationNotFoundError, did_you_mean
from .output import Output, write_error

if TYPE_CHECKING:
    from ..config import MemoryConfig
    from ..memory import Memory

USER_VARIABLE: Final = "MEMKIT_USER_ID"
ERROR, NOT_FOUND, INTERRUPTED, CLOSED_PIPE = 1, 3, 130, 141

# Wrong usage, whichever parser Typer brings along: the class that `typer.BadParameter` is a kind of.
UsageError: Final = cast("type[Exception]", typer.BadParameter.__mro__[1])

PathOption = Annotated[
    str | None,
    typer.Option(
        "--path",
        metavar="PATH",
        help="Where memories live: a folder, or a file such as memory.db [env: MEMKIT_PATH].",
    ),
]
LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="URL",
        help="The database instead: postgresql://user@host:5432/database, or a file [env: MEMKIT_LEDGER].",
    ),
]
UserOption = Annotated[
    str | None, typer.Option("--user", "-u", metavar="ID", help=f"Whose memories [env: {USER_VARIABLE}].")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an error.")]
AgentOption = Annotated[str | None, typer.Option("--agent", metavar="ID", help="Of this agent.")]
RunOption = Annotated[str | None, typer.Option("--run", metavar="ID", help="Of this conversation.")]
FilterOption = Annotated[
    str | None,
    typer.Option("--filter", metavar="JSON", help='Only what fits, such as \'{"topic": {"in": ["food"]}}\'.'),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The options that may stand before the command as well as after it."""

    path: str | None = None
    ledger: str | None = field(default=None, repr=False)
    user: str | None = None
    json: bool = False
    debug: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run of one command."""

    path: str | None
    ledger: str | None = field(repr=False)
    """`--ledger` as it was typed; never shown, as a URL may hold a password."""
    typed_user: str | None
    """`--user` as it was typed; the environment does not count."""
    json: bool
    debug: bool
    out: Output

    @property
    def user(self) -> str | None:
        """Whose memories: `--user`, blank too, else the environment's."""
        return os.environ.get(USER_VARIABLE) or None if self.typed_user is None else self.typed_user

    def config(self) -> MemoryConfig:
        """Return the configuration: the environment's, at `--path` and in `--ledger` where those were given."""
        from ..config import env_config

        typed = {"path": self.path, "ledger": self.ledger}
        return env_config().model_copy(
            update={name: given for name, given in typed.items() if given is not None}
        )

    def memory(self) -> Memory:
        """Return the memory; nothing is opened yet."""
        from ..memory import Memory

        return Memory(self.config())

    def handle(self, memory: Memory) -> Memory:
        """Return the memory for by-id calls: bound to the user where there is one."""
        return memory if self.user is None else memory.bind(user_id=self.user)

    def scope(self, agent: str | None, run: str | None) -> dict[str, str]:
        """Return the ids that were given, as keyword arguments.

        Raises:
            UsageError: There are none.
        """
        ids = {"user_id": self.user, "agent_id": agent, "run_id": run}
        scope = {name: value for name, value in ids.items() if value is not None}
        if not scope:
            usage_error(
                f"Whose memories? Add --user ID (or set {USER_VARIABLE}), --agent ID or --run ID, such as --user ada."
            )
        return scope


def usage_error(message: str) -> NoReturn:
    """End with exit code 2 and a line that says what to type."""
    raise UsageError(message)


def piped_text() -> str:
    """Return what stands on standard input.

    Raises:
        InvalidInputError: It is no text.
    """
    try:
        text = sys.stdin.read()
        text.encode()  # a lenient reader leaves lone surrogates where it could not decode
    except UnicodeError:
        raise InvalidInputError(
            f"Standard input is not {sys.stdin.encoding.upper()}. Convert it, for example with iconv."
        ) from None
    return text


def json_object(text: str | None, option: str) -> dict[str, Any] | None:
    """Return the JSON object that an option holds."""
    if text is None:
        return None
    try:
        value: object = json.loads(text)
    except ValueError as error:
        usage_error(
            f'{option} is not JSON ({error}). Quote it for the shell: {option} \'{{"topic": "food"}}\'.'
        )
    if not isinstance(value, dict):
        usage_error(f'{option} must be a JSON object such as \'{{"topic": "food"}}\', not {text}.')
    return cast("dict[str, Any]", value)


def one_of(value: str | None, known: Iterable[str], option: str) -> str | None:
    """Return a word of a closed list."""
    names = list(known)
    if value is not None and value not in names:
        usage_error(f"{option} {value!r} is unknown.{did_you_mean(value, names)} Known: {', '.join(names)}.")
    return value


def command(app: typer.Typer, name: str, *examples: str) -> Callable[[Callable[..., None]], None]:
    """Register a function as a command: it gets a `Session`, the command line gets the shared options and examples."""

    def register(function: Callable[..., None]) -> None:
        @functools.wraps(function)
        def run(
            ctx: typer.Context,
            path: str | None,
            ledger: str | None,
            user: str | None,
            as_json: bool,
            debug: bool,
            **given: Any,
        ) -> None:
            before = ctx.find_root().obj or Common()
            session = Session(
                path=before.path if path is None else path,
                ledger=before.ledger if ledger is None else ledger,
                typed_user=before.user if user is None else user,
                json=as_json or before.json,
                debug=debug or before.debug,
                out=Output(json=as_json or before.json),
            )
            _guarded(session, lambda: function(session, **given))

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        shared = inspect.signature(_shared, eval_str=True).parameters.values()
        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        both = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (context, *own, *shared)]
        run.__signature__ = inspect.Signature(both)  # pyright: ignore[reportAttributeAccessIssue]  # read by typer
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in both}
        lines = "\n".join(f"  {example}" for example in examples)
        app.command(name, epilog=f"\b\nExamples:\n{lines}")(run)

    return register


def _shared(
    path: PathOption = None,
    ledger: LedgerOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Hold the options that every command has."""


def _guarded(session: Session, body: Callable[[], None]) -> None:
    """Run a command and turn its errors into a line and an exit code."""
    try:
        body()
        sys.stdout.flush()
    except MemkitError as error:
        _fail(session, error)
    except BrokenPipeError:
        # Whoever read the output has enough; nothing may be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(CLOSED_PIPE) from None
    except OSError as error:
        _fail(session, error)
    except KeyboardInterrupt:
        message = (
            "Interrupted. What was acknowledged is stored, nothing is half-done; the same command goes on."
        )
        _report(session, {"error": "KeyboardInterrupt", "message": message, "exit_code": INTERRUPTED})
        raise typer.Exit(INTERRUPTED) from None


def _fail(session: Session, error: MemkitError | OSError) -> NoReturn:
    if session.debug:
        import traceback

        traceback.print_exc()
    code = NOT_FOUND if isinstance(error, MemoryNotFoundError | OperationNotFoundError) else ERROR
    data: dict[str, Any] = {"error": type(error).__name__, "message": _message(error), "exit_code": code}
    for name in ("operation_id", "retryable", "operations"):
        value = getattr(error, name, None)
        if value:
            data[name] = list(cast("Iterable[str]", value)) if name == "operations" else value
    _report(session, data)
    raise typer.Exit(code) from None


def _message(error: MemkitError | OSError) -> str:
    if isinstance(error, MemoryNotFoundError):
        return f"No memory {getattr(error, 'memory_id', '')!r} here. `memkit list` shows what there is."
    if isinstance(error, MemkitError):
        return " ".join(error.message.split())
    return f"{error.filename or 'The operating system'}: {error.strerror or error}."


def _report(session: Session, data: dict[str, Any]) -> None:
    if session.json:
        write_error(data)
    else:
        session.out.note(f"Error: {data['message']}" if "exit_code" in data else str(data["message"]))
