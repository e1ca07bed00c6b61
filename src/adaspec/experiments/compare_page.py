"""A comparison as one page of HTML that needs nothing else, and as JSON."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence

from adaspec.experiments.compare import Compared
from adaspec.experiments.compare_table import flat_rows, notes, sentence, tables
from adaspec.runtime.text import visible

__all__ = ["as_html", "as_json"]

WIDTH, LINE, LABEL = 640, 26, 200  # of the figure, in its own units
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f23; --paper: #fff; --faint: #8a8f98; --line: #d8dce1; --mark: #00796b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --paper: #16191d; --faint: #8a8f98; --line: #343a41; --mark: #4db6ac; }
}
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; }
div { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
svg { width: 100%; height: auto; min-width: 32rem; max-width: 44rem; } svg text { fill: var(--ink); font-size: 13px; }
svg .zero { stroke: var(--faint); } svg .rope { fill: var(--line); opacity: 0.6; }
svg .mark { stroke: var(--mark); fill: var(--mark); stroke-width: 2.5; }
.notes { color: var(--faint); font-size: 0.875rem; }
"""


def as_json(compared: Compared, knobs: Mapping[str, Sequence[str]] | None = None) -> str:
    """All figures."""
    content = {
        "score": compared.score,
        "lower_is_better": compared.lower_is_better,
        "rope": compared.rope,
        "n_folds": compared.n_folds,
        "n_clips": compared.n_clips,
        "rows": flat_rows(compared),
        "sentences": [sentence(compared, each) for each in compared.rows[1:]],
        "knobs": {name: list(cells) for name, cells in (knobs or {}).items()},
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def as_html(compared: Compared, knobs: Mapping[str, Sequence[str]] | None = None) -> str:
    """Verdicts, the differences with their intervals as a figure, and the tables."""
    made = tables(compared, knobs)
    title = f"{compared.score} beside {compared.rows[0].name}"
    parts = [
        f"<h1>{_text(title)}</h1>",
        f"<ul>{''.join(f'<li>{_text(sentence(compared, each))}</li>' for each in compared.rows[1:])}</ul>",
        _figure(compared),
        *(_table(rows) for rows in (made.scores, made.tests, made.knobs) if rows and len(rows[0]) > 1),
        f'<p class="notes">{_text(" ".join(notes(compared)))}</p>',
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{_text(title)}</title><style>{STYLE}</style>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>"


def _text(text: str) -> str:
    return html.escape(visible(text))


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["".join(f"<th>{_text(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{_text(cell)}</td>" for cell in row) for row in body]
    return f"<div><table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table></div>"


def _figure(compared: Compared) -> str:
    """Differences with their intervals, a line each, over what is practically none."""
    shown = [(each.name, each.difference.paired) for each in compared.rows if each.difference is not None]
    ends = [
        abs(end) for _, paired in shown for end in (paired.low, paired.high, paired.difference) if math.isfinite(end)
    ]
    widest = 1.1 * max(*ends, compared.rope, 1e-9)

    def x(value: float) -> str:
        return f"{LABEL + (WIDTH - LABEL) * (value + widest) / (2 * widest):.1f}"

    height = LINE * (len(shown) + 1)
    rope = f'<rect class="rope" x="{x(-compared.rope)}" y="0" height="{height - LINE}" '
    parts = [
        f'{rope}width="{float(x(compared.rope)) - float(x(-compared.rope)):.1f}"/>',
        f'<line class="zero" x1="{x(0)}" x2="{x(0)}" y1="0" y2="{height - LINE}"/>',
    ]
    for place, (name, paired) in enumerate(shown):
        y = LINE * (place + 0.5)
        short = name if len(name) <= 26 else f"{name[:25]}…"
        parts.append(f'<text x="0" y="{y + 4:.1f}">{_text(short)}</text>')
        if math.isfinite(paired.low):
            parts.append(f'<line class="mark" x1="{x(paired.low)}" x2="{x(paired.high)}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<circle class="mark" cx="{x(paired.difference)}" cy="{y:.1f}" r="4"/>')
    for value, anchor in ((-widest, "start"), (0.0, "middle"), (widest, "end")):
        parts.append(f'<text x="{x(value)}" y="{height - 6}" text-anchor="{anchor}">{value:+z.3f}</text>')
    told = f"Differences of {compared.score} with 95 % intervals; shaded: practically none"
    drawn = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_text(told)}">{"".join(parts)}</svg>'
    return f"<div>{drawn}</div>"
