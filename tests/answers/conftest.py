from pathlib import Path

import pytest

from tests.answers.runs import saved


@pytest.fixture(scope="module")
def equal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose targets are equally fast; only to be read."""
    return saved(tmp_path_factory.mktemp("equal"))


@pytest.fixture(scope="module")
def slower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose second target is slower by 10 %; only to be read."""
    return saved(tmp_path_factory.mktemp("slower"), factors=(1, 1.1))
