"""Comparisons as tables and sentences, and as rows for files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adaspec.experiments.compare import Compared, Comparison, Difference, Verdict
from adaspec.runtime.table import TableForm, format_rows

__all__ = ["Tables", "flat_rows", "format_table", "notes", "sentence", "tables"]

MANY = 20  # times as many clips, more runs: beyond, only that it is more
FEW = 1.1  # times as many clips: below, seeds alone are named
Rows = list[list[str]]


@dataclass(frozen=True)
class Tables:
    """A comparison in cells of text; the first row of each is its header.

    Attributes
    ----------
    scores : list of list of str
        A row for each setting.
    tests : list of list of str
        A row for each setting but the baseline.
    knobs : list of list of str
        A row for each knob that differs; empty where none does.
    """

    scores: Rows
    tests: Rows
    knobs: Rows = field(default_factory=list)


def tables(
    compared: Compared,
    knobs: Mapping[str, Sequence[str]] | None = None,
    further: Mapping[str, Sequence[str]] | None = None,
) -> Tables:
    """Write all figures as text.

    Parameters
    ----------
    compared : Compared
    knobs : mapping of str to sequence of str, optional
        Of `differing_knobs`.
    further : mapping of str to sequence of str, optional
        More columns of the scores: title -> a cell for each setting.
    """
    scores = [
        ["setting", "runs", compared.score, "std", "95 % interval", "difference", "95 % interval", "p", "verdict"]
    ]
    tests = [["against the first", "t of folds", "p", "worse : equal : better", "only right", "p (McNemar)"]]
    for each in compared.rows:
        row = [each.name, str(each.n_runs), f"{each.score:.4f}", "-" if math.isnan(each.std) else f"{each.std:.4f}"]
        row.append(f"{each.low:.4f} to {each.high:.4f}")
        if each.difference is not None:
            found = each.difference
            row += [_signed(found.paired.difference), _interval(found), f"{found.p_holm:.3g}", str(found.verdict)]
            tests.append([each.name, *_test_cells(found, lower_is_better=compared.lower_is_better)])
        scores.append(row + [""] * (len(scores[0]) - len(row)))
    for title, cells in (further or {}).items():
        for row, cell in zip(scores, [title, *cells], strict=True):
            row.append(cell)
    kept = [column for column, _ in enumerate(tests[0]) if any(row[column] != "-" for row in tests[1:])]
    differing = [[name, *cells] for name, cells in (knobs or {}).items()]
    head = [["knob", *(each.name for each in compared.rows)]]
    return Tables(scores, [[row[column] for column in kept] for row in tests], head + differing if differing else [])


def _signed(value: float) -> str:
    return f"{value:+z.4f}"


def _interval(found: Difference) -> str:
    low, high = found.paired.low, found.paired.high
    return f"{_signed(low)} to {_signed(high)}" if math.isfinite(low) else "not known"


def _test_cells(found: Difference, *, lower_is_better: bool) -> list[str]:
    cells = ["-"] * 3
    if found.folds is not None:
        bayes = found.folds.bayes
        worse, better = (bayes.above, bayes.below) if lower_is_better else (bayes.below, bayes.above)
        cells = [f"{found.folds.t:+.2f}", f"{found.folds.p_value:.3g}"]
        cells.append(" : ".join(f"{100 * share:.0f} %" for share in (worse, bayes.within, better)))
    if found.only_right is None or found.p_mcnemar is None:
        return [*cells, "-", "-"]
    before, after = found.only_right
    return [*cells, f"{after} : {before}", f"{found.p_mcnemar:.3g}"]


def notes(compared: Compared) -> list[str]:
    """What the columns mean, and what could not be told."""
    n_pairs = len(compared.rows) - 1
    baseline, way = compared.rows[0].name, "lower" if compared.lower_is_better else "higher"
    lines = [
        f"{compared.score}: {way} is better; {compared.n_clips} clips, {compared.n_folds} "
        f"fold{'s' * (compared.n_folds > 1)}; std: over folds and runs; p: of the difference"
        + (f", corrected by Holm for {n_pairs} comparisons." if n_pairs > 1 else ".")
    ]
    if compared.n_folds > 1:
        lines.append(
            "t of folds: corrected resampled t-test; worse : equal : better: Bayesian correlated t-test, equal within "
            f"{compared.rope:g}."
        )
    else:
        lines.append("There is one fold, so no t-test over folds: the bootstrap over groups and the seeds decide.")
    if any(each.difference and each.difference.only_right for each in compared.rows):
        lines.append(f"only right: clips that only this setting : only {baseline} gets right, its runs taken together.")
    return lines


def sentence(compared: Compared, each: Comparison) -> str:
    """One comparison in plain words."""
    found, baseline = each.difference, compared.rows[0].name
    assert found is not None
    figures = f"{compared.score} {_signed(found.paired.difference)} (95 % interval {_interval(found)})"
    if found.verdict is Verdict.EQUAL:
        return f"{each.name} and {baseline} are practically equal: {figures}, nothing beyond {compared.rope:g}."
    if found.verdict is not Verdict.OPEN:
        return f"{each.name} is {found.verdict} than {baseline}: {figures}."
    if found.paired.low > 0 or found.paired.high < 0:
        figures += f", p {found.p_holm:.2g} for {len(compared.rows) - 1} comparisons"
    needed = _needed(found, each.n_runs, compared.n_clips)
    return f"Not enough data to tell {each.name} from {baseline}: {figures}; {needed}."


def _needed(found: Difference, n_runs: int, n_clips: int) -> str:
    if math.isnan(found.paired.training_variance):
        return "one run each in one fold tells no setting from its seed: name runs of at least one more seed for each"
    times, runs = found.more_clips, found.more_runs
    clips = f"{times:.1f} times as many clips (about {round(n_clips * times, -1):,.0f})"
    if times > MANY:
        clips = f"more than {MANY} times as many clips"
    if n_runs == 1:
        further = f", {clips} would tell" if times > FEW else ""
        return f"runs of a second seed would show what training adds to it{further}"
    if runs is None or runs > MANY:
        return f"more seeds alone would hardly tell, {clips} would"
    further = f", or {clips}," if times > FEW else ""
    return f"about {runs} more seed{'s' * (runs > 1)} of each{further} would tell"


def format_table(
    compared: Compared,
    *,
    markdown: bool,
    knobs: Mapping[str, Sequence[str]] | None = None,
    further: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Render for a terminal or as Markdown, with a sentence for each setting but the baseline.

    Parameters
    ----------
    compared, knobs, further
        As `tables` takes them.
    markdown : bool
    """
    form = TableForm.MARKDOWN if markdown else TableForm.TEXT
    made = tables(compared, knobs, further)
    parts = [format_rows(made.scores, form)]
    if len(made.tests[0]) > 1:
        parts.append(format_rows(made.tests, form))
    if made.knobs:
        parts.append(format_rows(made.knobs, form))
    parts.append(notes(compared) if not markdown else [" ".join(notes(compared))])
    told = [sentence(compared, each) for each in compared.rows[1:]]
    parts.append([f"- {line}" for line in told] if markdown else told)
    return "\n\n".join("\n".join(part) for part in parts)


def flat_rows(compared: Compared) -> list[dict[str, Any]]:
    """A row for each setting with all its figures, for JSON and CSV; what is not known is None."""
    rows = []
    for each in compared.rows:
        row: dict[str, Any] = {"name": each.name, "n_runs": each.n_runs, compared.score: each.score, "std": each.std}
        row |= {"low": each.low, "high": each.high, "per_run": each.per_run}
        if each.difference is not None:
            found = each.difference
            row |= {"difference": found.paired.difference}
            row |= {"difference_low": found.paired.low, "difference_high": found.paired.high}
            row |= {"p_value": found.paired.p_value, "p_holm": found.p_holm, "verdict": str(found.verdict)}
            row |= {"more_runs": found.more_runs, "more_clips": found.more_clips}
            if found.folds is not None:
                bayes = found.folds.bayes
                row |= {"t_of_folds": found.folds.t, "p_of_folds": found.folds.p_value}
                row |= {"p_below": bayes.below, "p_within": bayes.within, "p_above": bayes.above}
            if found.only_right is not None:
                row |= dict(zip(("n_only_baseline", "n_only_this"), found.only_right, strict=True))
                row["p_mcnemar"] = found.p_mcnemar
        rows.append({key: _known(value) for key, value in row.items()})
    return rows


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
