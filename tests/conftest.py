"""What all tests share."""

import copy
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
import yaml

from adaspec.runtime.console import configure_logging

ROOT = Path(__file__).parents[1]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))

# A busy machine fails no test.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


# Files in the order in which processes take them; all others follow. The first makes the repository that the others in
# tests/pipeline copy, so that the second keeps the other process busy until then. The longest come early.
EARLY = (
    "pipeline/test_pipeline.py",
    "training/test_fit.py",
    "pipeline/test_pipeline_ablation.py",
    "pipeline/test_pipeline_tuning.py",
    "runtime/test_ray_cluster.py",
    "frontends/test_export.py",
    "experiments/test_tuning.py",
    "experiments/test_compare.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no process is left alone with one of them at the end."""
    places = {ROOT / "tests" / name: place for place, name in enumerate(EARLY)}
    items.sort(key=lambda item: places.get(item.path, len(EARLY)))


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> None:
    """Not as the functions that own their process leave it."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def _messages() -> None:
    """Show messages on stderr, as the commands do."""
    configure_logging()


@pytest.fixture
def params() -> dict[str, Any]:
    """The content of params.yaml, free to be changed."""
    return copy.deepcopy(PARAMS)
