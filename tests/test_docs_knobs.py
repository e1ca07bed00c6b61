"""Commands of the documentation name knobs that exist."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.py")),
    *sorted((ROOT / "benchmarks/results").glob("*.json")),
]
SETTING = re.compile(r"-S[ \n]+([a-z][\w.]*)=")


def knobs() -> set[str]:
    """Dotted names of params.yaml."""
    names: set[str] = set()
    rest = [("", yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))]
    while rest:
        prefix, section = rest.pop()
        for key, value in section.items():
            if isinstance(value, dict):
                rest.append((f"{prefix}{key}.", value))
            else:
                names.add(f"{prefix}{key}")
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_settings_name_knobs(page: Path) -> None:
    assert set(SETTING.findall(page.read_text(encoding="utf-8"))) <= knobs()


def test_the_check_sees_settings() -> None:
    found = {name for page in PAGES for name in SETTING.findall(page.read_text(encoding="utf-8"))}
    assert {"frontend.learn_kernels", "train.epochs", "seed"} <= found
