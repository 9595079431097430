"""What every test of every distribution stands on: no network, no key, no one else's data."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, settings

from memkit.testing.network import block_network

# How fast the machine is decides no test.
settings.register_profile("any-speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-speed")

pytest_plugins = ["tests.bolt", "tests.postgres"]

Mode = Literal["sync", "async"]
_PREFIXES = (
    "MEMKIT_", "OPENAI_", "ANTHROPIC_", "CHROMA_", "LANGCHAIN_", "LANGSMITH_", "NEO4J_", "GRAPH_STORE_",
)  # fmt: skip
CONFORMANCE = Path(__file__).parent / "tests" / "conformance"


# Without a model, unless a test asks for one: the same vectors wherever the tests run.
os.environ["MEMKIT_LOCAL_EMBEDDER"] = "hash"


def pytest_configure() -> None:
    # A run in the background is told to ignore Ctrl-C, and so would be every process that a test sends one to.
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        and threading.current_thread() is threading.main_thread()
    ):
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _network_brake(request: pytest.FixtureRequest) -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    if request.node.get_closest_marker("network"):
        yield
        return
    with block_network():
        yield


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """No setting, key or data folder of the developer's reaches a test."""
    for name in os.environ.keys() - {"MEMKIT_LOCAL_EMBEDDER"}:
        if name.startswith(_PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MEMKIT_PATH", str(tmp_path / "memkit-home"))
    monkeypatch.setenv("MEMKIT_MODELS", str(tmp_path / "models"))


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """Runs a test twice, once for each face of the engine."""
    return request.param


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if CONFORMANCE in item.path.parents:
            item.add_marker(pytest.mark.engine)
