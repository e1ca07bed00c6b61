"""What the documentation says of files outside docs/: on the site they are pages, and links to them lead there."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
TEXTS = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}
LISTINGS = {"params.yaml": "files/params.md", "dvc.yaml": "files/dvc.md", "recipes": "files/recipes.md"}
PAGES = TEXTS | LISTINGS
LINK = re.compile(r"(\]\()([^)#\s]*)((?:#[^)\s]*)?\))")


def listing(name: str) -> str:
    """A file, or all files of a folder, as code."""
    path = ROOT / name
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    parts = [f"```yaml\n{file.read_text(encoding='utf-8').rstrip()}\n```\n" for file in files]
    if path.is_dir():
        parts = [f"## {file.name}\n\n{part}" for file, part in zip(files, parts, strict=True)]
    return f"# {name}\n\n" + "\n".join(parts)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for name, page in TEXTS.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    for name, page in LISTINGS.items():
        files.append(File.generated(config, page, content=listing(name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links that leave docs/, and all links of texts that come from outside, to pages."""
    outside = {target: name for name, target in TEXTS.items()}
    source = PurePosixPath(outside.get(page.file.src_uri, f"docs/{page.file.src_uri}"))

    def redirect(match: re.Match[str]) -> str:
        before, link, after = match.groups()
        if not link or ":" in link:
            return match[0]
        path = PurePosixPath(os.path.normpath(source.parent / link))
        recipe = path.parent == PurePosixPath("recipes")
        if recipe:
            path, after = path.parent, f"#{path.name.replace('.', '')})"
        target = PAGES.get(str(path)) or (str(path.relative_to("docs")) if path.parts[0] == "docs" else None)
        if target is None:
            return match[0]  # mkdocs tells that it leads nowhere
        return f"{before}{os.path.relpath(target, PurePosixPath(page.file.src_uri).parent)}{after}"

    return LINK.sub(redirect, markdown)
