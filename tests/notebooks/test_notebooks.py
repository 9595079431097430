"""Notebooks run from the first cell to the last in a fresh kernel, and print what is stored in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def printed(cell: Any) -> str:
    """What a cell wrote, without pictures."""
    return "".join(output.get("text", "") for output in cell.get("outputs", []))


def pictures(notebook: Any) -> int:
    """How many pictures the cells of a notebook show."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the machinery that starts kernels
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_notebook_prints_what_is_stored_in_it(path: Path, tmp_path: Path) -> None:
    stored = nbformat.read(path, as_version=4)
    run = nbformat.read(path, as_version=4)
    client = NotebookClient(
        run, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    for number, (before, after) in enumerate(zip(stored.cells, run.cells, strict=True)):
        assert printed(after) == printed(before), f"cell {number} of {path.name} prints something else now"
    assert pictures(run) == pictures(stored)
