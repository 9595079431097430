"""A large file is read once: a stamp remembers what was checked, and a file that changed is read again."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from memkit.embedders import minilm_weights, stamps
from memkit.errors import ConfigurationError
from tests.embedders.minilm_forward import copy_model, folder, needs_weights

DIGEST = sha256(b"model").hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(b"model")
    stamps.put(path, path.stat(), DIGEST)
    return path


@pytest.fixture(params=["this process", "the next process"])
def later(request: pytest.FixtureRequest, file: Path) -> Path:
    """The file, in the process that checked it and in one that has only the stamp."""
    if request.param == "the next process":
        stamps._checked.clear()
    return file


def test_a_checked_file_needs_no_reading(later: Path) -> None:
    assert stamps.holds(later, later.stat(), DIGEST)


def test_a_stamp_is_of_one_digest(later: Path) -> None:
    assert not stamps.holds(later, later.stat(), sha256(b"other").hexdigest())


@pytest.mark.parametrize("change", ["size", "time", "path"])
def test_a_file_that_changed_needs_reading(change: str, later: Path, tmp_path: Path) -> None:
    other = later
    if change == "size":
        later.write_bytes(b"model!")
    elif change == "time":
        os.utime(later, ns=(1, 1))
    else:
        other = tmp_path / "copy.bin"
        shutil.copy2(later, other)
    assert not stamps.holds(other, other.stat(), DIGEST)


def test_a_link_is_the_file_it_names(later: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.bin"
    link.symlink_to(later)
    assert stamps.holds(link, link.stat(), DIGEST)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}'])
def test_a_damaged_stamp_is_no_stamp(content: str, file: Path) -> None:
    stamps._checked.clear()
    for stamp in (stamps.models_folder() / ".checked").iterdir():
        stamp.write_text(content)
    assert not stamps.holds(file, file.stat(), DIGEST)


def test_a_folder_that_cannot_be_written_stops_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMKIT_MODELS", str(file / "below a file"))
    stamps._checked.clear()
    stamps.put(file, file.stat(), DIGEST)
    assert stamps.holds(file, file.stat(), DIGEST)
    stamps._checked.clear()
    assert not stamps.holds(file, file.stat(), DIGEST)


@needs_weights
def test_weights_that_changed_after_their_stamp_are_refused(tmp_path: Path) -> None:
    copy = tmp_path / "model.safetensors"
    shutil.copy(folder() / "model.safetensors", copy)
    weights = minilm_weights.Weights(copy, folder() / "vocab.txt")
    minilm_weights.check(weights)
    stamps._checked.clear()
    minilm_weights.check(weights)
    with copy.open("r+b") as opened:
        opened.seek(50_000_000)
        opened.write(b"\x00\x01\x02\x03")
    with pytest.raises(ConfigurationError, match="damaged"):
        minilm_weights.check(weights)


@needs_weights
def test_the_header_is_compared_each_time(tmp_path: Path) -> None:
    """A file with a stamp but other offsets would give other vectors without a word."""
    copy = tmp_path / "model.safetensors"
    copy_model(copy)
    weights = minilm_weights.Weights(copy, folder() / "vocab.txt")
    minilm_weights.check(weights)
    copy.unlink()
    copy.write_bytes(b"\0" * minilm_weights.SIZE)
    stamps.put(copy, copy.stat(), minilm_weights._SHA256["model.safetensors"])
    with pytest.raises(ConfigurationError, match="damaged"):
        minilm_weights.check(weights)
