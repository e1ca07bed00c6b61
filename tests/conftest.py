"""What all tests share."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from adaspec.runtime.console import configure_logging

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest file, so that the other process works through the rest meanwhile."""
    items.sort(key=lambda item: "pipeline" not in item.path.parts)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _messages() -> None:
    """Show messages on stderr, as the commands do."""
    configure_logging()


@pytest.fixture
def params() -> dict[str, Any]:
    """The content of params.yaml, free to be changed."""
    return copy.deepcopy(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
