"""The tables of docs/speaker-aware.md."""
# ruff: noqa: E501 (lines of the page)

from __future__ import annotations

from typing import Any

from report_format import code, command, made, span, table

__all__ = ["speaker_aware"]

Record = dict[str, Any]
SYSTEMS = {"asv_score": "verification alone", "cm_score": "countermeasure alone"}
CLAIMS = {"none": "does not know the claim", "film": "`claim=film`", "concatenation": "`claim=concatenation`"}
SCORES = {"sv_eer": "SV-EER", "spf_eer": "SPF-EER", "sasv_eer": "SASV-EER", "a_dcf": "a-DCF"}


def speaker_aware(record: Record, few: Record) -> str:
    """The marked part: of a set with many speakers, and of one with few."""
    claims, n_seeds = record["claims"], len(record["seeds"])
    parts = [
        f"## What it reaches on librila\n\n{about(record)}\n",
        table(["countermeasure", "system", *SCORES.values()], [row for each in claims.items() for row in rows(*each)]),
        *(f"- {line}" for name, found in claims.items() for line in verdicts(name, found)),
        "\nSPF-EER on each attack, of the countermeasure alone and of the chosen blend:\n",
        attacks(claims),
        f"{n_seeds} seeds; brackets: 95 % of resampled claimed speakers. {made(record)}\n",
        few_speakers(few),
    ]
    return "\n".join(parts) + "\n"


def few_speakers(record: Record) -> str:
    """A set with so few speakers that little can be told."""
    claims = record["claims"]
    return "\n".join(
        [
            "## And on minila\n\nThree speakers to train on, one of dev, two of eval, spoken digits in the telephone band; resampled are trials, as there are too few "
            "speakers. **What cannot be told there:** whether verification works, as three training speakers teach a network three voices, and two speakers of eval are "
            "one pair to tell apart; and whether the blend generalises: the nontarget trials of dev are recordings of the training speakers, whom the network knows.\n\n"
            + code(command(record, root="/data/minila/LA"))
            + "\n",
            table(
                ["countermeasure", "system", *SCORES.values()],
                [
                    row
                    for each in claims.items()
                    for row in rows(*each)
                    if row[1] in SYSTEMS.values() or row[1].startswith("**")
                ],
            ),
            f"{len(record['seeds'])} seeds; brackets: 95 % of resampled trials. {made(record)}",
        ]
    )


def about(record: Record) -> str:
    first = next(iter(record["claims"].values()))
    counted = ", ".join(f"{first['n_trials'][kind]} {kind}" for kind in ("target", "nontarget", "spoof"))
    times = span([each(s for found in record["claims"].values() for s in found["wall_s"]) for each in (min, max)])
    return (
        "Read English speech (LibriSpeech) in the layout of ASVspoof 2019 LA: 131 speakers to train on, 40 of dev, 68 of eval; "
        f"{counted} trials of eval. Knobs, blends and thresholds were chosen on train and dev. One run takes {times}, with one core; "
        "runs of one seed share the speaker network.\n\n" + code(command(record))
    )


def shown(name: str, values: dict[str, float]) -> str:
    factor, form = (1, ".4f") if name == "a_dcf" else (100, ".2f")
    value, low, high = (f"{factor * values[key]:{form}}" for key in ("value", "ci_low", "ci_high"))
    return f"{value}{'' if name == 'a_dcf' else ' %'} ({low} to {high})"


def rows(claim: str, found: Record) -> list[list[str]]:
    chosen = found["chosen"]
    told = []
    for name, values in found["systems"].items():
        title = SYSTEMS.get(name, name)
        if name == "blended":
            title = f"**chosen blend** ({', '.join(chosen)})"
        told.append([CLAIMS[claim], title, *(shown(score, values[score]) for score in SCORES)])
    return told


def verdicts(claim: str, found: Record) -> list[str]:
    alone = found["systems"][found["better_alone"]]["sasv_eer"]["value"]
    blended = found["systems"]["blended"]["sasv_eer"]["value"]
    by_blend = found["blend_less_better_alone"]["sasv_eer"]
    verdict = "better" if by_blend["ci_high"] < 0 else "not shown to be better"
    lines = [
        f"Countermeasure that {CLAIMS[claim] if claim == 'none' else 'knows the claim (' + CLAIMS[claim] + ')'}: the chosen blend is {verdict} than "
        f"{SYSTEMS[found['better_alone']]} (SASV-EER {difference(by_blend)}), at {blended / alone:.2f} of its SASV-EER."
    ]
    for name, title in (("cm_score", "countermeasure alone"), ("blended", "chosen blend")):
        if "less_first" in found:
            change = found["less_first"][name]
            told = ", ".join(f"{SCORES[score]} {difference(change[score])}" for score in ("spf_eer", "sasv_eer"))
            lines.append(f"{CLAIMS[claim]} beside not knowing the claim, {title}: {told}.")
    return lines


def difference(values: dict[str, float]) -> str:
    return f"{100 * values['difference']:+.2f} points ({100 * values['ci_low']:+.2f} to {100 * values['ci_high']:+.2f})"


def attacks(claims: dict[str, Record]) -> str:
    first = next(iter(claims.values()))
    head = ["attack", "trained on", *(f"{title}, {CLAIMS[claim]}" for claim in claims for title in ("alone", "blend"))]
    body = []
    for name, seen in sorted(first["seen"].items()):
        key = f"spf_eer of {name}"
        cells = [
            shown("spf_eer", found["systems"][system][key])
            for found in claims.values()
            for system in ("cm_score", "blended")
        ]
        body.append([name, seen, *cells])
    return table(head, body)
