"""What was learned in physical units: measures of a part of a front end beside those that training started from.

Nothing here knows a part: what is measured, and in which unit, is read from the names of its measures.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

__all__ = [
    "CENTER",
    "CHANGE",
    "START",
    "change_text",
    "measure_numbers",
    "measure_table",
    "measures_in",
    "quantity",
    "rounded",
]

CENTER = "center_hz"  # the measure over which the others lie
START, CHANGE = "start_", "_change"
UNITS = {"_hz_per_s": "Hz/s", "_hz": "Hz", "_ms": "ms"}  # end of a measure's name -> what is shown
WORDS = {"center": "centre frequency", "chirp": "chirp rate", "length": "window length", "kernels": "kernel"}


def measure_table(start: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> pd.DataFrame:
    """Measures of one part of a front end, at the start and now.

    Parameters
    ----------
    start, now : mapping of str to Tensor of shape (n_transforms, n)
        Measure -> values, as of `Frontend.measures`.

    Returns
    -------
    DataFrame
        A row per `transform`, from 1, and `index` of a band, bin or group, from 0; for each measure X the columns
        `start_X`, `X` and `X_change`, their difference, all in the unit of X.
    """
    shape = next(iter(start.values())).shape
    transform, index = torch.meshgrid(*map(torch.arange, shape), indexing="ij")
    columns = {"transform": transform + 1, "index": index}
    for name, before in start.items():
        columns |= {START + name: before, name: now[name], name + CHANGE: now[name] - before}
    return pd.DataFrame({name: values.flatten().numpy() for name, values in columns.items()})


def measures_in(table: pd.DataFrame) -> list[str]:
    """Names of the measures that a table of `measure_table` holds."""
    return [column.removeprefix(START) for column in map(str, table) if column.startswith(START)]


def measure_numbers(part: str, table: pd.DataFrame) -> dict[str, float]:
    """What a table of `measure_table` comes to.

    Returns
    -------
    dict of str to float
        Of measure X of the part P: P_X_median now, P_X_change_median and P_X_change_max, without signs; where there is
        one value, P_X and P_X_change, with its sign. P_ is left out where X begins with it: length_ms. Those of
        several transforms each, as "transform-1/P_X_median".
    """
    found: dict[str, float] = {}
    groups = table.groupby("transform")
    for transform, rows in groups:
        prefix = f"transform-{transform}/" if len(groups) > 1 else ""
        for measure in measures_in(table):
            name = prefix + (measure if measure.startswith(part) else f"{part}_{measure}")
            now, change = rows[measure], rows[measure + CHANGE]
            if len(rows) == 1:
                found |= {name: now.item(), name + CHANGE: change.item()}
            else:
                found[f"{name}_median"] = now.median()
                found[f"{name}{CHANGE}_median"] = change.abs().median()
                found[f"{name}{CHANGE}_max"] = change.abs().max()
    return found


def change_text(part: str, measure: str, table: pd.DataFrame) -> str:
    """How a measure changed, for a terminal, as mean over folds: single values as start -> now, of others the median.

    Parameters
    ----------
    part, measure : str
    table : DataFrame
        As of `measure_table`, with the column `fold`.
    """
    name, unit = quantity(measure)
    what = name if measure.startswith(part) else f"{WORDS.get(part, part)} {name}"
    end = f" {unit}" if unit else ""
    if table["index"].max() == 0:
        means = table.groupby("transform")[[START + measure, measure]].mean()
        pairs = (f"{rounded(before, 3)} -> {rounded(now, 3)}" for before, now in means.itertuples(index=False))
        return f"{what} {', '.join(pairs)}{end}"
    medians = table[measure + CHANGE].abs().groupby([table["transform"], table["fold"]]).median()
    changes = medians.groupby("transform").mean()
    least, most = (rounded(float(value), 2) for value in (changes.min(), changes.max()))
    return f"{what} changed by {least if least == most else f'{least} to {most}'}{end} (median)"


def quantity(measure: str) -> tuple[str, str]:
    """What a measure is called, and its unit, empty for a pure number: "chirp_hz_per_s" is chirp rate and Hz/s."""
    end = next((end for end in UNITS if measure.endswith(end)), "")
    name = measure.removesuffix(end)
    return WORDS.get(name, name.replace("_", " ")), UNITS.get(end, "")


def rounded(value: float, n_digits: int) -> str:
    """A number to so many significant digits, but 210 rather than 2.1e+02."""
    return f"{float(format(value, f'.{n_digits}g')):g}"
