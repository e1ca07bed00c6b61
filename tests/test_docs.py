"""The examples of the documentation run."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from adaspec.frontends import AdaptiveSTFT

ROOT = Path(__file__).parents[1]
PAGES = ["docs/adaptive-stft.md", "docs/index.md", "docs/qr.md", "docs/robustness.md"]


def run_blocks(text: str, page: str) -> dict[str, Any]:
    """Run the Python blocks one after the other, in one namespace; line numbers are those of the page."""
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert blocks, page
    namespace: dict[str, Any] = {}
    for block in blocks:
        lines_before = text.count("\n", 0, block.start(1))
        exec(compile("\n" * lines_before + block[1], page, "exec"), namespace)
    return namespace


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_examples_run(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_blocks((ROOT / page).read_text(encoding="utf-8"), page)
    if page == "docs/adaptive-stft.md":
        fixed, learned = (list(map(float, line.split()[1:])) for line in capsys.readouterr().out.splitlines())
        assert min(fixed) > 0.65  # ln 2, up to noise
        assert learned == sorted(learned, reverse=True)
        assert learned[-1] < 0.1


def test_example_of_the_readme_runs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [section] = re.findall(r"^## The layer in five lines\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    run_blocks(section, "README.md")


def test_parameters_of_the_page_are_those_of_the_layer() -> None:
    page = (ROOT / "docs/adaptive-stft.md").read_text(encoding="utf-8")
    [section] = re.findall(r"^## Parameters\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    rows = [row.split("|")[2] for row in section.splitlines() if row.startswith("|")][2:]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", row))}
    assert named == set(inspect.signature(AdaptiveSTFT).parameters)
