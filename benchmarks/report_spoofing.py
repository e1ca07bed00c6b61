"""Anti-spoofing in docs/results.md: the recipes on two sets."""
# ruff: noqa: E501 (lines of the page)

from __future__ import annotations

from pathlib import Path
from typing import Any

import report_figures as figures
from report_format import code, command, figure, interval, load, made, span, table

__all__ = ["spoofing"]

Record = dict[str, Any]
ATTACKS = {  # of minila and librila
    "A07": "WORLD vocoder, few cepstra",
    "A08": "mel inversion, Griffin-Lim",
    "A09": "text to speech, flite",
    "A10": "phases replaced",
    "A11": "sinusoids",
    "A12": "codec2",
    "A13": "joined units",
    "A14": "phase-vocoder pitch shift",
    "A16": "LPC vocoder, as A04",
    "A19": "envelopes swapped, as A06",
}
SCORES = {  # name in the record -> title, factor, form, unit
    "eer": ("EER on eval", 100, ".1f", " %"),
    "eer_in_steps": ("EER in the challenge's steps", 100, ".1f", " %"),
    "min_tdcf_2019": ("min t-DCF, 2019", 1, ".3f", ""),
    "min_tdcf_2021": ("min t-DCF, 2021", 1, ".3f", ""),
    "balanced_accuracy_at_threshold": ("balanced accuracy at the threshold from dev", 1, ".3f", ""),
    "auc": ("AUC", 1, ".3f", ""),
    "validation_eer": ("EER on dev", 100, ".1f", " %"),
}


def cost(record: Record) -> str:
    """What a run took, on a machine that mostly had other work too."""
    return (
        f"{span(record['cost']['cpu_s'], 's')} of CPU, {span(record['cost']['wall_s'])} beside other work on two cores"
    )


def score_rows(record: Record) -> str:
    """Scores seed by seed."""
    rows = []
    for name, (title, factor, form, unit) in SCORES.items():
        score = record["scores"][name]
        cells = [f"{factor * value:{form}}{unit}" for value in score["per_seed"]]
        for place, ends in enumerate(score["interval_per_seed"]):
            cells[place] += f" ({interval([factor * end for end in ends], form)})"
        spread = "" if score["std_of_seeds"] is None else f"{factor * score['std_of_seeds']:{form}}"
        rows.append([title, *cells, f"**{factor * score['mean']:{form}}{unit}**", spread])
    return table(["", *(f"seed {seed}" for seed in record["seeds"]), "mean", "std over seeds"], rows)


def attack_rows(records: list[Record]) -> str:
    """Each attack: EER in % and accepted share in % on each set."""
    by_set = [{each["attack"]: each for each in record["attacks"]} for record in records]
    rows = []
    for name, first in by_set[0].items():
        cells = [name, ATTACKS.get(name, ""), "" if first["seen"] == "-" else first["seen"]]
        for found in by_set:
            cells += [f"{100 * found[name]['eer']:.1f}", f"{100 * found[name]['p_fa_at_threshold']:.1f}"]
        rows.append(cells)
    heads = [f"{title} {record['recipe']}" for record in records for title in ("EER,", "accepted,")]
    return table(["attack", "how it was made", "seen in training", *heads], rows)


def spoofing(folder: Path) -> str:
    minila, librila = map(load, ("asv-mini", "asv-libri"))
    figures.draw_attacks(
        [each for each in minila["attacks"] if each["seen"] in ("yes", "no")], ATTACKS, folder / "anti-spoofing.svg"
    )
    unseen = {
        each["recipe"]: {row["attack"]: row["eer"] for row in each["attacks"]}["unseen"] for each in (minila, librila)
    }
    eers = {each["recipe"]: 100 * each["scores"]["eer"]["mean"] for each in (minila, librila)}
    return f"""## Voice anti-spoofing

Two small sets of real speech in the layout of ASVspoof 2019 LA, **not** ASVspoof data: nothing here is to be compared with published figures on it.

- `minila`, telephone band, six speakers saying digits, made of the [Free Spoken Digit Dataset](https://github.com/Jakobovski/free-spoken-digit-dataset) (CC BY-SA 4.0). Trained on three speakers and six attacks, 60 bona fide and 540 spoofed clips; threshold from a
  fourth speaker (dev); tested on two more and on ten attacks, eight of them new (eval).
- `librila`, 16 kHz, read speech of 239 speakers, made of [LibriSpeech](https://www.openslr.org/12) (CC BY 4.0): 366 bona fide and 768 spoofed clips of 131 speakers to train on, 40 other speakers in dev, 68 in eval.

Neither is distributed with adaspec. Whoever has the corpora can make such sets: bona fide clips, and spoofed ones by the methods in the table of attacks.

`asv-mini` on `minila`, {cost(minila)}:

{score_rows(minila)}
`asv-libri` on `librila`, {cost(librila)}:

{score_rows(librila)}
In brackets: 95 % of resampled trials, of speakers where there are ten or more.

{code(command(minila), command(librila))}

**Verdict.** EER on speakers and mostly attacks that training has never heard: {eers["asv-mini"]:.1f} % on `minila` ({100 * unseen["asv-mini"]:.1f} % on the new attacks alone),
where an LFCC-GMM reached 32.7 % and a small CNN 28 and 31 %; {eers["asv-libri"]:.1f} % on `librila` ({100 * unseen["asv-libri"]:.1f} %), where an LFCC-GMM reached 32.4 %.
These others were scored when the sets were made, without a record here.

{figure("anti-spoofing", "EER of each attack of minila")}

EER of each attack, and the share that is accepted at the threshold from dev, in %:

{attack_rows([minila, librila])}
`minila`: {made(minila)} `librila`: {made(librila)}

Lab note: [how the recipe was chosen](lab/asv-mini.md).
"""
