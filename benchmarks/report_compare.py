"""The tables of docs/compare.md: how often its verdicts are false, and what they find."""
# ruff: noqa: E501 (lines of the page)

from __future__ import annotations

from typing import Any

from report_format import code, figure, made, table

__all__ = ["RULES", "compare_power"]

Record = dict[str, Any]
RULES = {
    "compare": "`adaspec compare`",
    "naive": "paired t-test over folds and seeds",
    "corrected": "corrected resampled t-test",
    "bayesian": "Bayesian correlated t-test at 95 %",
}
FALSE = ("better", "worse", "practically equal")
SHOWN = (0.02, 0.03, 0.04, 0.06)  # differences of the table


def compare_power(record: Record) -> str:
    """The marked part."""
    rows = []
    for row in record["false"]:
        own = row["rules"]["compare"]
        cells = [row["studies"], f"{row['n_studies']:,}", *(share(own[name]) for name in FALSE)]
        rows.append(
            [
                *cells,
                *(share(sum(row["rules"][rule][name] for name in FALSE[:2])) for rule in RULES if rule != "compare"),
            ]
        )
    head = [
        "studies",
        "number",
        *(f"{name}, %" for name in FALSE),
        *(f"{title}: either, %" for rule, title in RULES.items() if rule != "compare"),
    ]
    at = {(row["seeds"], row["difference"]): row["rules"] for row in record["power"]}
    power = [
        [
            f"{seeds} seed{'s' * (seeds > 1)}, +{difference:g}",
            *(share(at[seeds, difference][rule]["better"]) for rule in RULES),
        ]
        for seeds in sorted({seeds for seeds, _ in at})
        for difference in SHOWN
    ]
    low, high = record["false"][0]["interval"]["better"]
    return f"""### False verdicts

"Better" and "worse" are false in all studies without a difference, "practically equal" in those at the edge of the rope, where "better" is true.
The first row has a 95 % interval of {100 * low:.1f} to {100 * high:.1f} % for "better".

{table(head, rows)}
### What is found

Share of {record["n_power"]} studies each in which the second setting, better by so much, is called better, in %. The naive test's finds are worth less: it
errs as often as above.

{table(["", *RULES.values()], power)}
{figure("compare-power", "Share of studies in which a better setting is called better, by its lead, for four rules and three numbers of seeds")}

{code(record["command"])}

{made(record)}
"""


def share(value: float) -> str:
    return f"{100 * value:.1f}"
