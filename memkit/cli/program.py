"""The command line as a whole: options before the command, and the commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from . import change, doctor, find, graph, models, move, remember, serve
from .output import write_error
from .session import Common, DebugOption, JsonOption, LedgerOption, PathOption, UsageError, UserOption

_HELP: Final = """A long-term memory for agents, on the command line.

It remembers what is said, finds it again, and can say where it came from. `memkit doctor` says what is active.

\b
  memkit add "I moved to Lisbon in May." --user ada
  memkit search "Where does she live?" --user ada

\b
Exit codes: 0 done · 1 an error of ours, or "no" to a question · 2 wrong usage
            3 no such memory or operation · 130 interrupted · 141 closed pipe
"""


class _Group(TyperGroup):
    """Reports wrong usage as JSON where JSON was asked for."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line."""
        given = list(sys.argv[1:] if args is None else args)
        plain = "--json" not in given or not standalone_mode
        try:
            code = super().main(
                given, prog_name, complete_var, standalone_mode and plain, windows_expand_args, **extra
            )
            if plain:
                return code
        except UsageError as error:
            if plain:
                raise
            write_error({"error": "UsageError", "message": str(error), "exit_code": 2})
            code = 2
        except typer.Abort:
            if plain:
                raise
            write_error({"error": "Abort", "message": "Aborted.", "exit_code": 1})
            code = 1
        sys.exit(code if isinstance(code, int) else 0)


app: Final = typer.Typer(
    name="memkit",
    cls=_Group,
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help, readable when piped and on a narrow terminal
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from .. import __version__

        typer.echo(f"memkit {__version__}")
        raise typer.Exit


@app.callback()
def _before(  # pyright: ignore[reportUnusedFunction]
    ctx: typer.Context,
    path: PathOption = None,
    ledger: LedgerOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version
    ctx.obj = Common(path=path, ledger=ledger, user=user, json=as_json, debug=debug)


for _commands in (remember, find, graph, change, move, models, serve, doctor):
    _commands.register(app)


def main() -> None:
    """Run the `memkit` command and exit with its code."""
    # In this order, each takes the number of what the caller closed, so that no file of ours gets it.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as we run
    app(prog_name="memkit")
