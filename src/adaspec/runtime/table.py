"""Tables of text: for a terminal, as Markdown, as LaTeX."""

from __future__ import annotations

import enum
from collections.abc import Sequence

__all__ = ["TableForm", "format_rows"]

LATEX = str.maketrans({character: f"\\{character}" for character in "&%$#_{}"} | {"\\": r"\textbackslash{}"})


class TableForm(enum.StrEnum):
    """How a table is written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    LATEX = "latex"


def format_rows(rows: Sequence[Sequence[str]], form: TableForm) -> list[str]:
    """Lines of a table.

    Parameters
    ----------
    rows : sequence of sequence of str
        Equally many cells in each; the first row is the header.
    form : TableForm
        LaTeX is a tabular of the package booktabs.
    """
    if form == TableForm.MARKDOWN:
        escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
        escaped.insert(1, ["---"] * len(rows[0]))
        return [f"| {' | '.join(row)} |" for row in escaped]
    if form == TableForm.LATEX:
        header, *body = (" & ".join(cell.translate(LATEX) for cell in row) + r" \\" for row in rows)
        begin = rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}"
        return [begin, r"\toprule", header, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
