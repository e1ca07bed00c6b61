"""Comparisons as a table and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from adaspec.experiments.compare import Comparison
from adaspec.runtime.table import TableForm, format_rows

__all__ = ["format_table"]


def format_table(
    comparisons: list[Comparison], *, markdown: bool, further: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Render for a terminal or as Markdown, with a sentence for each setting but the baseline.

    Parameters
    ----------
    comparisons : list of Comparison
    markdown : bool
    further : mapping of str to sequence of str, optional
        More columns: title -> a cell for each of `comparisons`.
    """
    rows = [["setting", "accuracy", "std", "95 % interval", "difference", "paired 95 % interval", "only right", "p"]]
    for index, each in enumerate(comparisons):
        std = "-" if np.isnan(each.std) else f"{each.std:.4f}"
        row = [each.name, f"{each.accuracy:.4f}", std, f"{each.low:.4f} to {each.high:.4f}"]
        if index:
            row += [
                f"{each.difference:+z.4f}",
                f"{each.difference_low:+z.4f} to {each.difference_high:+z.4f}",
                f"{each.n_only_this} : {each.n_only_baseline}",
                f"{each.p_value:.3g}",
            ]
        rows.append(row + [""] * (len(rows[0]) - len(row)))
    for title, cells in (further or {}).items():
        for row, cell in zip(rows, [title, *cells], strict=True):
            row.append(cell)
    lines = format_rows(rows, TableForm.MARKDOWN if markdown else TableForm.TEXT)
    baseline = comparisons[0].name
    told = [f"- {_sentence(each, baseline)}" if markdown else _sentence(each, baseline) for each in comparisons[1:]]
    note = (
        f"std: over folds and runs. only right: clips that only this setting : only {baseline} gets right, by the mean "
        "of the runs' scores; p: exact McNemar test on them."
    )
    return "\n".join([*lines, "", note, *([""] if markdown else []), *told])


def _sentence(each: Comparison, baseline: str) -> str:
    figures = f"{each.difference:+z.4f} (95 % interval {each.difference_low:+z.4f} to {each.difference_high:+z.4f})"
    if each.verdict == "no difference shown":
        return f"{each.name} against {baseline}: no difference shown, accuracy {figures}."
    return f"{each.name} is {each.verdict} than {baseline}: accuracy {figures}."
