"""What our packages say they export is what they export."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from scripts.check_wheels import manifests, packages_of
from tests.meta.tree import projects

PACKAGES = [package for manifest in manifests() for package in packages_of(manifest)]


@pytest.fixture(params=[*PACKAGES, "memkit.testing"])
def package(request: pytest.FixtureRequest) -> Any:
    return import_module(request.param)


def test_all_is_sorted_and_without_doubles(package: Any) -> None:
    assert list(package.__all__) == sorted(set(package.__all__))


def test_every_public_name_can_be_imported(package: Any) -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_completion_offers_every_public_name(package: Any) -> None:
    assert set(package.__all__) <= set(dir(package))


def test_an_unknown_name_is_an_attribute_error(package: Any) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    import memkit

    (core, *_) = projects().values()
    assert memkit.__version__ == core["project"]["version"]


def test_every_error_of_ours_crosses_process_borders() -> None:
    import pickle

    from memkit import errors

    for name, kind in vars(errors).items():
        if (
            isinstance(kind, type)
            and issubclass(kind, errors.MemkitError)
            and kind.__module__ == errors.__name__
        ):
            error = kind.__new__(kind)
            errors.MemkitError.__init__(error, "what failed", operation_id="op-1")
            copy = pickle.loads(pickle.dumps(error))
            assert (type(copy), str(copy), copy.operation_id) == (kind, "what failed", "op-1"), name


def test_the_error_tree_in_the_docstring_is_the_real_one() -> None:
    from memkit import errors

    drawn = [
        line.lstrip("│├└─ ").split()[0]
        for line in (errors.__doc__ or "").splitlines()
        if "Error" in line.split("(")[0]
    ]
    real = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert set(drawn) == real, Path(errors.__file__).name
