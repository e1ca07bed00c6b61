"""The command line: `adaspec --help`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

import adaspec
from adaspec.runtime.console import command_line, show, show_command
from adaspec.runtime.table import TableForm

__all__ = ["app"]


Blending = Literal["sum", "product", "linear", "nonlinear"]  # as in adaspec.evaluation.trials.blends
Costs = Literal["default", "asvspoof5"]  # of the a-DCF, as in adaspec.evaluation.scores.speaker_aware

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(adaspec.__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Reproducible audio classification with spectrograms that can be learned.

    The pipeline itself runs with 'dvc repro' and 'dvc exp run'.
    """


@app.command()
def recipe(
    name: Annotated[str | None, typer.Argument(help="Recipe; without it, all are listed.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the recordings.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("-S", metavar="KEY=VALUE", help="A further knob; may be given repeatedly.")
    ] = None,
) -> None:
    """Print the 'dvc exp run' command of a recipe; eval "$(adaspec recipe esc10-fast --root /data/esc10)" runs it."""
    from adaspec.errors import InputError
    from adaspec.experiments.recipes import describe_recipes, read_recipe, recipe_command, tell_leftovers

    with command_line():
        if name is None:
            if root is not None or settings:
                raise InputError("--root and -S are for a recipe; name one, or list them all with 'adaspec recipe'")
            rows = describe_recipes()
            width = max(len(known) for known, _ in rows)
            show("\n".join(f"{known:{width}}  {line}" for known, line in rows))
            return
        knobs, _ = read_recipe(name, root, settings or [])
        show_command(recipe_command(knobs))
        tell_leftovers(knobs)


@app.command()
def ablation(
    recipe: Annotated[str, typer.Argument(help="Recipe on waveforms, such as genre.")],
    root: Annotated[Path | None, typer.Option(help="Folder of the recordings.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("-S", metavar="KEY=VALUE", help="A further knob; may be given repeatedly.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Variants at a time; the folds of each share the cores.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for table and figures.")] = Path("reports/ablation"),
) -> None:
    """Does learning window and kernels help? Queue seven variants as DVC experiments, and report what came out.

    Variants that are done are not run again: after a break, give the same command.
    """
    from adaspec.experiments.ablation import plan, report, run_missing
    from adaspec.experiments.recipes import tell_leftovers

    with command_line():
        planned = plan(recipe, root, settings or [])
        tell_leftovers(planned[0].knobs)
        run_missing(planned, jobs)
        show(report(planned, out))
        show(f"\ntable and figures: {out}")


@app.command()
def tune(
    trials: Annotated[int, typer.Option(min=1, help="Finished trials that the study is to have, all workers'.")] = 20,
    study: Annotated[str | None, typer.Option(help="Name; by default one for the settings of params.yaml.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(envvar="ADASPEC_STORAGE", help="Database URL; by default .adaspec/studies.db of the repository."),
    ] = None,
) -> None:
    """Search the knobs of params.yaml's section tune by validation clips; prints the command of the best trial.

    Start it in several terminals to share the work, and again to go on after a break.
    """
    from adaspec.experiments.tuning import tune as tune_knobs

    with command_line():
        show(tune_knobs(trials, study, storage))


@app.command()
def compare(
    settings: Annotated[
        list[str],
        typer.Argument(
            metavar="BASELINE OTHER",
            help="Experiments, commits, folders with predictions.csv, workspace, or mlflow:RUN by id or name; "
            "[NAME=]RUN,RUN,... for several seeds.",
        ),
    ],
    score: Annotated[
        str | None, typer.Option(help="What is compared, such as f1_macro; by default accuracy, in anti-spoofing eer.")
    ] = None,
    rope: Annotated[float, typer.Option(min=0, help="Differences of at most this are practically none.")] = 0.01,
    form: Annotated[Literal["table", "markdown", "json", "html"], typer.Option(help="What is printed.")] = "table",
) -> None:
    """Which is better than a baseline, by how much, and could chance have done it? One plain sentence for each."""
    from adaspec.errors import InputError
    from adaspec.experiments.compare import compare as compare_settings
    from adaspec.experiments.compare_page import as_html, as_json
    from adaspec.experiments.compare_table import format_table
    from adaspec.experiments.knobs_of_runs import differing_knobs
    from adaspec.experiments.runs import read_setting

    with command_line():
        if len(settings) < 2:
            raise InputError(f"there is nothing to compare {settings[0]} with; name a baseline and another setting")
        found = [read_setting(setting) for setting in settings]
        compared = compare_settings(found, score, rope=rope)
        knobs = differing_knobs([setting.knobs for setting in found])
        if form in ("json", "html"):
            show((as_json if form == "json" else as_html)(compared, knobs))
        else:
            show(format_table(compared, markdown=form == "markdown", knobs=knobs))


@app.command()
def sync(
    all_commits: Annotated[
        bool, typer.Option("--all-commits", help="Also what the commits of all branches and tags hold.")
    ] = False,
) -> None:
    """Record in MLflow what it lacks: results from DVC's cache, pulled experiments, all of them after a loss.

    Of DVC's experiments, the workspace and the last commit with results. Given again, it records nothing.
    """
    from adaspec.experiments.sync import sync as sync_runs

    with command_line():
        show(sync_runs(all_commits))


@app.command()
def doctor() -> None:
    """Look for what usually goes wrong, and say what to do: Python, packages, data, disk, GPU, remains of earlier runs.

    The exit code is 1 where something is broken.
    """
    from adaspec.experiments.doctor import doctor as examine
    from adaspec.runtime.workspace import repository_root

    with command_line():
        findings = examine(repository_root())
        show("\n".join(finding.line() for finding in findings))
        n_broken = sum(finding.state == "broken" for finding in findings)
        show(f"\n{n_broken} broken" if n_broken else "\nall is well")
        if n_broken:
            raise typer.Exit(1)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model such as models/fold-1, or models: all folds, averaged.")],
    recordings: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER", help="Audio files, or folders of such.")],
    form: Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="What is printed.")] = "table",
    windows: Annotated[bool, typer.Option("--windows", help="Also print each window.")] = False,
    voting: Annotated[
        Literal["mean", "majority"] | None,
        typer.Option("--vote", help="How the windows of a recording are combined; by default as in evaluation."),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(min=0, max=0.95, help="Overlap of windows, as a fraction of one; by default as in evaluation."),
    ] = None,
    enrolment: Annotated[
        list[Path] | None,
        typer.Option(help="A recording of the claimed speaker, or a folder of such; for models that ask who it is."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes, for many recordings; by default 1, with --address as many as fit."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="A running Ray cluster whose nodes do it; see docs/scale.md."),
    ] = None,
) -> None:
    """Classify recordings of any rate, channels and length; those that cannot be read are reported and skipped."""
    from adaspec.models.many import CLASSIFIED, Models, load_models, predictions
    from adaspec.models.predictor import find_models
    from adaspec.models.printing import Writer
    from adaspec.models.recordings import each_recording, find_audio
    from adaspec.runtime.engine import LOCAL, Where

    with command_line():
        files = find_audio(recordings)
        models = Models(tuple(find_models(model)), voting, overlap, tuple(enrolment or ()))
        engine, n_parallel = (Where("ray", address), workers) if address else (LOCAL, workers or 1)
        found = predictions(models, files, engine, n_parallel)
        with Writer(form, load_models(models).labels, windows=windows) as writer:
            for path, prediction in each_recording(files, found, CLASSIFIED):
                writer.write(path, prediction)


@app.command()
def verify(
    model: Annotated[Path, typer.Argument(help="A model that verifies speakers, such as models/fold-1.")],
    recordings: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER", help="Audio files, or folders of such.")],
    enrolment: Annotated[
        list[Path], typer.Option(help="A recording of the claimed speaker, or a folder of such; may be given again.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Decide whether recordings are of the enrolled speaker, live: accepted or rejected, with the scores."""
    from adaspec.evaluation.verifier import Verifier, verify_files

    with command_line():
        verify_files(Verifier(model, enrolment), recordings, as_json=as_json)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A model such as models/fold-1.")],
    onnx: Annotated[Path, typer.Option(help="File to write.")],
) -> None:
    """Write a model as ONNX, from windows of the waveform to logits; labels and rate are in its metadata."""
    from adaspec.models.export import export_onnx

    with command_line():
        show(export_onnx(model, onnx))


@app.command()
def score(
    scores: Annotated[
        Path, typer.Argument(help="FILE SYSTEM KEY SCORE in each line, higher = bona fide; with --sasv a CSV file.")
    ],
    asv_scores: Annotated[
        Path | None,
        typer.Option(help="ASV score file for the t-DCF: SYSTEM target|nontarget|spoof SCORE in each line."),
    ] = None,
    threshold_from: Annotated[
        Path | None, typer.Option(help="Score file, such as that of dev, whose EER sets the threshold; else it is 0.")
    ] = None,
    sasv: Annotated[
        bool, typer.Option("--sasv", help="Verification trials: columns label, and score or asv_score and cm_score.")
    ] = False,
    blend: Annotated[
        Blending | None, typer.Option(help="With --sasv: how the two scores become one; by default their sum.")
    ] = None,
    fit_on: Annotated[
        Path | None, typer.Option(help="With --sasv: trials such as dev's that linear and nonlinear are calibrated on.")
    ] = None,
    costs: Annotated[Costs | None, typer.Option(help="With --sasv: costs of the a-DCF.")] = None,
    n_bootstrap: Annotated[int, typer.Option(min=100, help="Resamples for the 95 % intervals.")] = 1000,
    form: Annotated[TableForm, typer.Option("--format", help="What is printed.")] = TableForm.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; figures are fractions.")] = False,
) -> None:
    """EER, t-DCF and errors per attack of a detector's score file; with --sasv those of verification under spoofing."""
    from adaspec.errors import InputError
    from adaspec.evaluation.trials import speaker_aware, text

    with command_line():
        if sasv and (asv_scores or threshold_from):
            raise InputError("--asv-scores and --threshold-from are for detectors; leave them out, or --sasv")
        if not sasv and (blend or fit_on or costs):
            raise InputError("--blend, --fit-on and --costs are for verification trials; add --sasv")
        report: text.DetectorReport | speaker_aware.SpeakerAwareReport
        if sasv:
            chosen = (blend, fit_on, costs or "default")
            report = speaker_aware.report(scores, *chosen, n_bootstrap)
        else:
            report = text.report(scores, asv_scores, threshold_from, n_bootstrap)
        show(json.dumps(report.json(), indent=1) if as_json else report.text(form))


@app.command()
def fetch(
    dataset: Annotated[str, typer.Argument(help="Data set to download, such as esc50.")],
    to: Annotated[Path, typer.Option(help="Folder to put it in; created if it is missing.")],
    url: Annotated[str | None, typer.Option(help="Another address of the same archive, such as a mirror.")] = None,
) -> None:
    """Download a data set, unpack it and check that it is complete. A download that broke off goes on."""
    from adaspec.datasets.fetch import fetch as fetch_dataset

    with command_line():
        show(fetch_dataset(dataset, to, url))
