"""The parts of docs/results.md, each from its records."""
# ruff: noqa: E501 (lines of the page)

from __future__ import annotations

from pathlib import Path
from typing import Any

import report_figures as figures
from report_format import code, command, differences, figure, interval, load, made, percent, span, table, verdict
from report_learning import embedded, real_recordings
from report_spoofing import spoofing

__all__ = ["LAYERS", "sections"]

Record = dict[str, Any]

LAYERS = {  # name in the record -> in tables
    "fixed": "fixed",
    "learn_window": "`learn_window`",
    "learn_length": "`learn_length`",
    "learn_length, 8 groups": "`learn_length`, 8 groups",
    "learn_kernels": "`learn_kernels`, dense",
    "learn_kernels bf16": "dense, `bf16`",
    "learn_kernels unit_norm": "dense, `unit_norm`",
    "learn_kernels orthonormal": "dense, `orthonormal`",
    "learn_kernels banded": "banded, 9 bins",
    "learn_kernels parametric": "`learn_kernels`, parametric",
    "learn_mel parametric": "`learn_mel`, parametric",
    "learn_mel sensitivity": "parametric, placed by sensitivity",
    "learn_mel free": "`learn_mel`, free",
    "learn_compression": "`learn_compression`, PCEN",
    "three transforms, learn_window": "three transforms, `learn_window`",
    "torchaudio": "torchaudio, fixed",
    "nnaudio": "nnAudio, trainable STFT",
    "nnaudio2": "nnAudio2, trainable STFT",
    "dstft": "dstft, window length (no bands)",
    "diffsptk window": "diffsptk, window",
    "diffsptk basis": "diffsptk, basis",
    "hybra": "hybra, HybrA filterbank",
    "efficientleaf": "EfficientLEAF, Gabor filterbank",
    "cached fixed": "training step on cached spectrograms, fixed",
    "cached PCEN": "training step on cached spectrograms, learned PCEN",
}


def sections(folder: Path) -> str:
    """All parts; their figures are drawn into `folder`."""
    return "\n".join(part(folder) for part in (environmental, spoofing, real_recordings, music, embedded, speed))


def environmental(folder: Path) -> str:
    names = ["esc10-best", "esc10-fast", "esc10-ast-small", "esc50-cnn-original", "esc50-ast-original"]
    recipes = {name: load(name) for name in names}
    epochs = {n: load(f"esc10-fast-{n}-epochs") for n in (10, 20, 40, 80)}
    labels = {"esc10-ast-small": "small transformer", "esc50-cnn-original": "original CNN"}
    labels |= {"esc50-ast-original": "original transformer", "esc10-fast": "esc10-fast", "esc10-best": "esc10-best"}
    figures.draw_budget(
        {f"{n} epochs": record for n, record in epochs.items()},
        {label: recipes[name] for name, label in labels.items()},
        folder / "environmental-sound.svg",
    )
    rows = []
    for name, record in recipes.items():
        scores, n_seeds = record["scores"], len(record["seeds"])
        accuracy, f1 = scores["accuracy"], scores["f1_macro"]
        row = [f"`{name}`", f"{n_seeds} seed{'s' if n_seeds > 1 else ''}", f"**{accuracy['mean']:.3f}**"]
        row += [f"{accuracy['std']:.3f}", interval(accuracy["interval"]), f"{f1['mean']:.3f}"]
        rows.append([*row, span(record["cost"]["wall_s"])])
    fast, best = recipes["esc10-fast"], recipes["esc10-best"]
    machines: dict[str, list[str]] = {}
    for name, record in recipes.items():
        machines.setdefault(made(record), []).append(f"`{name}`")
    told = table(["recipe", "", "accuracy", "std", "95 % interval", "F1 (macro)", "time"], rows)
    return f"""## Environmental sound: ESC-10

400 recordings, 10 classes, the official five folds, trained from scratch, without other data.

{told}
{code(*map(command, (fast, best, recipes["esc50-cnn-original"])))}

**Verdict.** `esc10-fast` reaches {percent(fast["scores"]["accuracy"]["mean"])} in {span(fast["cost"]["wall_s"])}, `esc10-best`
{percent(best["scores"]["accuracy"]["mean"])} in {span(best["cost"]["wall_s"])}. The models of the original study stay behind both.

{figure("environmental-sound", "Accuracy on ESC-10 against the wall time of a run, for several recipes and numbers of epochs")}

{" ".join(f"{', '.join(names)}: {told}" for told, names in machines.items())}

For comparison: people 95.7 % (K. J. Piczak, ACM Multimedia 2015, table 1); EnvNet-v2 with between-class learning and strong
augmentation 91.4 %, without strong augmentation 89.4 % (Y. Tokozume et al., ICLR 2018, table 1), from scratch as well.

Lab notes: [accuracy against budget](lab/esc10-budget.md), [how the knobs were chosen](lab/esc10-knobs.md),
[what each trick adds](lab/esc10-tricks.md), [the original models and a small transformer](lab/esc10-models.md).
"""


def music(folder: Path) -> str:
    record = load("music-ablation")
    rows = record["rows"]
    figures.draw_differences(rows, "Generated music: variants of the front end", folder / "music.svg")
    changed = {
        title: [row.get(key, "") for row in rows]
        for title, key in (("window changed", "window_changed"), ("kernels changed", "kernels_changed"))
    }
    shown = [row["name"].replace("-", " ") for row in rows[1:] if verdict(row) == "better"]
    return f"""## Music: the ablation

200 generated clips of 6 s, 10 "genres", five folds, one seed: ResNet-18 on parts of 1 s, 6 epochs ([how](music.md)). It says nothing
about music; it shows what the command tells, in {span(record["cost"]["wall_s"])} with the generating.

{differences(rows, changed)}
{code(record["command"])}

**Verdict.** {f"Better than the fixed transform: {', '.join(shown)}." if shown else "No variant is shown to be better than the fixed transform; windows and kernels hardly move in six epochs."}

{figure("music", "Difference in accuracy of six variants to the fixed transform, with paired intervals")}

{made(record)}

Lab note: [the seven variants](lab/music.md).
"""


def speed(folder: Path) -> str:
    step, recipe, features, layers, qr = map(load, ("train-step", "train-recipe", "features", "frontends", "qr"))
    rows = {
        LAYERS[row["name"]].replace("`", ""): row["ms_to_peer"]
        for row in layers["rows"]
        if "peer" in row and row["peer"] in ("torchaudio", "nnaudio")
    }
    title = "Front end: fixed beside torchaudio, learned beside nnAudio's trainable STFT"
    figures.draw_ratios(rows, title, folder / "speed.svg")
    middle = [sorted(each["measurements"], key=lambda run: run["ratio"]) for each in (step, recipe)]
    one_step, one_recipe = (runs[len(runs) // 2] for runs in middle)
    square = {row["route"]: row for row in qr["rows"] if (row["m"], row["n"]) == (1024, 512)}
    by_name = {row["name"]: row for row in layers["rows"]}
    dearer = [name for name, ratio in rows.items() if ratio > 1]
    but = f", but for these: {'; '.join(dearer)}" if dearer else ""
    return f"""## Speed

| what | adaspec | beside | |
|---|---|---|---|
| a training step of ResNet-18, one core | {one_step["adaspec_ms"]:.0f} ms | a plain float32 loop, {one_step["plain_ms"]:.0f} ms | {one_step["ratio"]:.2f} times faster |
| all of `esc10-fast` as it was before whole clips, recordings to scores | {one_recipe["adaspec_s"]:.0f} s | a script, fold after fold in float32, {one_recipe["plain_s"]:.0f} s | {one_recipe["ratio"]:.2f} times faster |
| features of {features["n_clips"]} Ogg files, {features["workers"]} workers | {features["extract_clips_per_s"]:.0f} clips/s | decoding and resampling alone, {features["decode_clips_per_s"]:.0f} clips/s | {features["ratio"]:.2f} times the time |
| peak memory of a worker | {features["worker_peak_mib"]:.0f} MiB | with three times the clips {features["worker_peak_mib_thrice_the_clips"]:.0f} MiB | |
| learned kernels, forward and backward | {by_name["learn_kernels"]["ms"]:.0f} ms | nnAudio, {by_name["nnaudio"]["ms"]:.0f} ms | {by_name["learn_kernels"]["ms_to_peer"]:.2f} of the time, {by_name["learn_kernels"]["peak_to_peer"]:.2f} of the memory |
| QR of 1024 x 512 with its gradient | {square["closed_form"]["ms"]:.1f} ms | `torch.linalg.qr`, {square["torch.linalg.qr"]["ms"]:.1f} ms | {square["closed_form"]["of_lapack"]:.2f} of the time |

{code(command(step), command(recipe), f"{features['command']} /data/esc50/audio", command(layers), command(qr))}

**Verdict.** Training is about {round(min(one_step["ratio"], one_recipe["ratio"]))} to {round(max(one_step["ratio"], one_recipe["ratio"]))} times faster than a plain loop, extraction costs little more than decoding, and every form of the front end costs less than
its peer{but}. The tables stand in [the adaptive STFT](adaptive-stft.md#forms-and-what-they-cost) and [QR](qr.md#time-and-memory).

{figure("speed", "Time of each form of the front end relative to its peer")}

Training: {made(step)} Front end: {made(layers)} Features and QR: {made(qr)}

Lab note: [repeated measurements](lab/speed.md).
"""
