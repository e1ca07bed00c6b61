"""Relative links of the pages lead to files and headings that exist, as a git host shows them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def links(page: Path) -> Iterator[str]:
    """Relative links, code left out."""
    text = re.sub(r"`[^`\n]+`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    return (link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link))


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as git hosts and the site name them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        found = target.is_relative_to(ROOT) and target.exists()
        if not found or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_check_sees_links_and_headings() -> None:
    assert "docs/results.md" in set(links(ROOT / "README.md"))
    assert "forms-and-what-they-cost" in anchors(ROOT / "docs/adaptive-stft.md")


def test_files_that_contributors_are_to_touch_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [section] = re.findall(r"^## How to add\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    named = {path for path in re.findall(r"`([\w./]+/[\w.]*)`", section) if "/" in path}
    assert "src/adaspec/frontends/__init__.py" in named
    places = [ROOT / path if "NAME" not in path else (ROOT / path).parent for path in named]
    assert not [place.relative_to(ROOT).as_posix() for place in places if not place.exists()]
