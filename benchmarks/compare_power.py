"""How often does `adaspec compare` err, and what does it find? Simulated studies of two settings.

    python benchmarks/compare_power.py [--studies 2000] [--record NAME]

A study has 400 clips in groups of one to four, five folds, 1 to 5 seeds of each setting. Whether a model is right
about a clip is whether a sum of Gaussians is above zero: how hard the clip is, and its group; how much either suits one
of the settings; how one training came out, on the whole and on each clip; and what the training clips of the data set
happen to be worth to a setting, of which the folds share three quarters. Both accuracies are known, so verdicts are
right or false.

Beside the verdict stand other rules: the paired t-test over all folds and seeds, the corrected resampled t-test and the
Bayesian correlated t-test over the means of folds.

Intervals of the shares are Wilson's.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import record
import scipy.special
import scipy.stats

from adaspec.evaluation.bootstrap import Draw, resampled_values
from adaspec.evaluation.scores.classification import right
from adaspec.experiments.compare import ROPE, Verdict, judge
from adaspec.experiments.statistics import ALPHA, Paired, bayesian_correlated_t, corrected_resampled_t

Floats = npt.NDArray[np.float64]
Shares = dict[str, dict[str, float]]

N_CLIPS, N_FOLDS, N_RESAMPLES = 400, 5, 300
# Standard deviations, in the unit in which the probability of being right is a Gaussian's.
CLIP, GROUP = 1.0, 0.7  # hard for all
GROUP_OF_SETTING, CLIP_OF_SETTING = 0.3, 0.4
CLIP_OF_MODEL = 0.4
MODEL = (0.0, 0.05, 0.1, 0.2)  # of a training on the whole; a study has one of them
DATA, SHARED = 0.25, 0.75  # what the training clips are worth, as a share of MODEL; how much of that folds share
ACCURACIES = (0.75, 0.85, 0.95)
DIFFERENCES = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08)  # of the power curve
SEEDS = (1, 3, 5)  # of the power curve
EVERY = (1, 2, 3, 4, 5)
WIDE = 0.05  # a rope that 400 clips can tell something of
RULES = ("compare", "naive", "corrected", "bayesian")


def study(
    rng: np.random.Generator,
    difference: float,
    n_seeds: int,
    *,
    accuracy: float,
    model: float,
    data: float = DATA,
    n_folds: int = N_FOLDS,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Hits (setting, seed, clip), fold and group of each clip; the second setting is better by `difference`."""
    sizes = rng.integers(1, 5, N_CLIPS)
    groups = np.repeat(np.arange(N_CLIPS), sizes)[:N_CLIPS]
    n_groups = int(groups[-1]) + 1
    folds = (np.arange(n_groups) * n_folds // n_groups)[groups]
    data *= model
    parts = (CLIP, GROUP, GROUP_OF_SETTING, CLIP_OF_SETTING, CLIP_OF_MODEL, model, data)
    scale = math.sqrt(sum(part**2 for part in parts))
    level = scale * scipy.special.ndtri(accuracy + difference * np.array([-0.5, 0.5]))
    clips = CLIP * rng.standard_normal(N_CLIPS) + GROUP * rng.standard_normal(n_groups)[groups]
    suits = CLIP_OF_SETTING * rng.standard_normal((2, N_CLIPS))
    suits += GROUP_OF_SETTING * rng.standard_normal((2, n_groups))[:, groups]
    worth = math.sqrt(SHARED) * rng.standard_normal((2, 1)) + math.sqrt(1 - SHARED) * rng.standard_normal((2, n_folds))
    trained = model * rng.standard_normal((2, n_seeds, n_folds)) + data * worth[:, None]
    latent = level[:, None, None] + clips + suits[:, None] + trained[:, :, folds]
    return latent + CLIP_OF_MODEL * rng.standard_normal(latent.shape) > 0, folds, groups


def verdicts(
    hits: npt.NDArray[np.bool_],
    folds: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    rng: np.random.Generator,
    rope: float = ROPE,
) -> dict[str, Verdict]:
    """What each rule says of the second setting."""
    n_seeds, n_folds = hits.shape[1], int(folds[-1]) + 1
    values, drawn, n_units = [], [], []
    for fold in range(n_folds):
        own = np.flatnonzero(folds == fold)
        scored = [right(one) for one in hits[:, :, own].reshape(-1, len(own))]
        values.append([float(each.values()["accuracy"]) for each in scored])
        resampled = resampled_values(scored, Draw(groups[own], rng), N_RESAMPLES)
        drawn.append(np.stack([each["accuracy"] for each in resampled], axis=1))
        n_units.append(len(np.unique(groups[own])))
    first, second = np.split(np.array(values), 2, axis=1)
    drawn_first, drawn_second = np.split(np.stack(drawn, axis=1), 2, axis=2)
    paired = Paired.of(first, second, drawn_first, drawn_second, n_units)
    found = {"compare": judge(paired, paired.p_value, rope, lower_is_better=False)}
    if n_folds == 1:  # which leaves the others nothing to test
        return found | dict.fromkeys(RULES[1:], Verdict.OPEN)
    differences = second - first
    of_folds, ratio = differences.mean(axis=1), 1 / (n_folds - 1)
    error = math.sqrt(float(differences.var(ddof=1)) / differences.size)
    p_naive = 2 * float(scipy.special.stdtr(n_folds * n_seeds - 1, -abs(paired.difference) / error)) if error else 1.0
    bayes = bayesian_correlated_t(of_folds, ratio, rope)
    by_bayes = {Verdict.WORSE: bayes.below, Verdict.EQUAL: bayes.within, Verdict.BETTER: bayes.above}
    return found | {
        "naive": tested(paired.difference, p_naive),
        "corrected": tested(paired.difference, corrected_resampled_t(of_folds, ratio)[1]),
        "bayesian": next((name for name, share in by_bayes.items() if share > 1 - ALPHA), Verdict.OPEN),
    }


def tested(difference: float, p_value: float) -> Verdict:
    if p_value >= ALPHA:
        return Verdict.OPEN
    return Verdict.BETTER if difference > 0 else Verdict.WORSE


def shares(
    n_studies: int,
    difference: float,
    n_seeds: int,
    *,
    seed: int,
    data: float = DATA,
    rope: float = ROPE,
    n_folds: int = N_FOLDS,
) -> Shares:
    """Rule -> verdict -> share of studies, whose accuracy and training noise take turns."""
    rng = np.random.default_rng(seed)
    counts = {rule: dict.fromkeys(map(str, Verdict), 0) for rule in RULES}
    for number in range(n_studies):
        accuracy = ACCURACIES[number % len(ACCURACIES)]
        model = MODEL[number // len(ACCURACIES) % len(MODEL)]
        made = study(rng, difference, n_seeds, accuracy=accuracy, model=model, data=data, n_folds=n_folds)
        for rule, verdict in verdicts(*made, rng, rope).items():
            counts[rule][str(verdict)] += 1
    return {rule: {name: count / n_studies for name, count in own.items()} for rule, own in counts.items()}


def wilson(share: float, n_studies: int) -> list[float]:
    found = scipy.stats.binomtest(round(share * n_studies), n_studies).proportion_ci(method="wilson")
    return [float(found.low), float(found.high)]


def measure(n_studies: int) -> dict[str, Any]:
    """All that docs/compare.md shows."""
    false: list[dict[str, Any]] = []

    def add(told: str, found: list[Shares], n_each: int) -> None:
        n_all = n_each * len(found)
        means = {
            rule: {name: float(np.mean([one[rule][name] for one in found])) for name in own}
            for rule, own in found[0].items()
        }
        ends = {name: wilson(share, n_all) for name, share in means["compare"].items()}
        false.append({"studies": told, "n_studies": n_all, "rules": means, "interval": ends})
        print(told, n_all, means, flush=True)

    null = [shares(n_studies, 0.0, n_seeds, seed=n_seeds) for n_seeds in EVERY]
    add("all of these", null, n_studies)
    for n_seeds, found in zip(EVERY, null, strict=True):
        add(f"{n_seeds} seed{'s' * (n_seeds > 1)}", [found], n_studies)
    some = max(n_studies // len(EVERY), 1)
    twice = [shares(some, 0.0, n_seeds, seed=10 + n_seeds, data=2 * DATA) for n_seeds in EVERY]
    edge = {
        rope: [shares(some, rope, n_seeds, seed=20 + n_seeds, rope=rope) for n_seeds in EVERY] for rope in (ROPE, WIDE)
    }
    add("training clips worth twice as much", twice, some)
    add("one fold, 2 to 5 seeds", [shares(some, 0.0, n, seed=40 + n, n_folds=1) for n in EVERY[1:]], some)
    for rope, found_at in edge.items():
        add(f"difference at the edge of a rope of {rope:g}", found_at, some)
    add(
        f"no difference, a rope of {WIDE:g}",
        [shares(some, 0.0, n_seeds, seed=30, rope=WIDE) for n_seeds in EVERY],
        some,
    )
    power = [
        {"seeds": n_seeds, "difference": difference, "rules": shares(some, difference, n_seeds, seed=100 + index)}
        for n_seeds in SEEDS
        for index, difference in enumerate(DIFFERENCES)
    ]
    return {"n_power": some, "rope": ROPE, "false": false, "power": power}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    arguments = parser.parse_args()
    measured = measure(arguments.studies)
    if arguments.record:
        record.write(arguments.record, measured)


if __name__ == "__main__":
    main()
