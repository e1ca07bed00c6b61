"""The tour's first experiment goes as its page says, on a smaller data set; the second seed repeats it."""

import re
import shlex
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)  # as of the other pipelines

PAGE = Path(__file__).parents[2] / "docs/tour.md"
VERDICT = re.compile(r"better|worse|equal|not enough data", re.IGNORECASE)


def test_tour_comes_to_a_verdict(project):
    typed = re.findall(r"^\$ (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert typed[0] == "dvc exp run --name fixed"
    printed = [project.run(*shlex.split(command)).stdout for command in typed[:3]]
    assert "bands" in printed[2]
    assert VERDICT.search(printed[2])
    assert (project.path / "reports" / "index.html").stat().st_size > 100_000
