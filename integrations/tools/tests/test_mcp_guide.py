"""Every configuration in the guide starts a server that works."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from integrations.tools.tests.mcp_client import environment, over_stdio
from memkit.cli import app

GUIDE = (Path(__file__).parents[3] / "docs" / "guide-mcp.md").read_text("utf-8")


def configured() -> list[dict[str, Any]]:
    """Each server that a block of JSON or TOML describes, whatever the client calls the table."""
    blocks = re.findall(r"^```(json|toml)\n(.*?)^```", GUIDE, flags=re.M | re.S)
    files = [json.loads(text) if kind == "json" else tomllib.loads(text) for kind, text in blocks]
    return [next(iter(file.values()))["memkit"] for file in files]


@pytest.mark.parametrize("server", [one for one in configured() if "command" in one], ids=str)
async def test_a_configuration_starts_a_server(server: dict[str, Any], tmp_path: Path) -> None:
    assert server["command"] == "memkit"
    env = environment(HOME=str(tmp_path), **server.get("env", {}))
    async with over_stdio(["-m", "memkit", *server["args"]], env) as client:
        assert not (await client.call("search_memories", query="Who sails?"))["isError"]
        if len(await client.tools()) > 1:
            await client.call("add_memory", text="Ada sails.")
            assert (tmp_path / "memories").is_dir()


def test_a_remote_configuration_names_the_endpoint() -> None:
    urls = [one["url"] for one in configured() if "url" in one]
    assert set(urls) == {"http://127.0.0.1:8000/mcp"}


def test_the_guide_names_every_option() -> None:
    from typer.main import get_command

    [command] = [one for name, one in get_command(app).commands.items() if name == "mcp"]  # type: ignore[attr-defined]  # a group
    options = {option for given in command.params for option in given.opts if option.startswith("--")}
    shared = {"--json", "--debug", "--help"}
    assert {option for option in options - shared if f"`{option}" not in GUIDE} == set()
