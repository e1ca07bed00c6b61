"""Real studies of a toy data set that trains in a second, real databases, processes and kills."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState
from toydata import Toy, changed, make_toy

from adaspec.config import Config, flatten, load_config
from adaspec.errors import InputError
from adaspec.experiments import tuning
from adaspec.experiments.recipes import read_recipe, recipe_command
from adaspec.experiments.tuning import study as studies
from adaspec.experiments.tuning import worker as workers
from adaspec.experiments.tuning.presence import has_ended
from adaspec.experiments.tuning.report import counted_value
from adaspec.experiments.tuning.space import check_space, holds, suggest, value_of, with_knobs
from adaspec.features.store import FeatureStore
from adaspec.runtime.files import write_csv
from adaspec.tables import read_clips, read_folds
from adaspec.tracking import Origin
from adaspec.tracking.mlflow_run import MlflowRun
from adaspec.tracking.none import NoRun
from adaspec.training.crossvalidate import cross_validate

ROOT = Path(__file__).parents[2]
RATE = {"knob": "train.optimizer.learning_rate", "low": 1.0e-3, "high": 1.0e-2, "log": True}
DROPOUT = {"knob": "backbone.dropout", "low": 0.0, "high": 0.5}
MELS = {"knob": "frontend.mel.n_mels", "choices": [8, 16]}
# Of tests that open studies themselves; that `tune` says nothing of it is seen in the processes below.
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    knobs = {"train.epochs": 2, "backbone.resnet.widths": [4, 8], "frontend.mel.n_mels": 16}
    return make_toy(tmp_path_factory.mktemp("toy"), {"high": 6, "low": 6}, **knobs)


@pytest.fixture(scope="module")
def tables(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and no run: creating them takes seconds."""
    root = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert MlflowRun(root, "0", toy.config, toy.clips, Origin()).client.get_experiment_by_name("adaspec") is None
    return root / "mlflow.db"


@pytest.fixture
def repository(toy: Toy, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of a repository, as current directory, with features and folds; DVC is not asked."""
    root = tmp_path / "repository"
    (root / "data").mkdir(parents=True)
    shutil.copyfile(tables, root / "mlflow.db")
    write_csv(root / "data" / "clips.csv", toy.clips)
    write_csv(root / "data" / "folds.csv", toy.folds)
    shutil.copytree(toy.features, root / "data" / "features")
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "ADASPEC_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(root)
    monkeypatch.setattr(tuning, "update_data", lambda root: None)
    monkeypatch.setattr(workers, "POLL_S", 0.1)
    write_params(toy.config, [RATE, MELS])
    return root


def write_params(config: Config, space: list[dict[str, Any]], **knobs: Any) -> None:
    content = changed(config, **knobs).model_dump(mode="json")
    content["tune"] |= {"space": space}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def trials_of(name: str = "s") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage="sqlite:///.adaspec/studies.db").get_trials()


def values_of(config: Config, trials: list[optuna.trial.FrozenTrial]) -> list[tuple[str, Any, float | None]]:
    """State, knobs and value of the trials that count, in their order."""
    return [(trial.state.name, trial.params, trial.value) for trial in studies.finished_trials(trials)]


def refused(*arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        tuning.tune(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def on_fold(monkeypatch: pytest.MonkeyPatch, index: int, act: Callable[[], None]) -> None:
    """Do something when the fold of this index, counted over all trials, is about to be trained."""
    real, n_begun = workers.fit_fold, 0

    def fit_fold(*arguments: Any, **keywords: Any) -> None:
        nonlocal n_begun
        n_begun += 1
        if n_begun == index + 1:
            act()
        real(*arguments, **keywords)

    monkeypatch.setattr(workers, "fit_fold", fit_fold)


# The space


def test_space_of_the_repository_can_be_searched_and_holds_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = load_config(Path("params.yaml"))
    check_space(config)
    assert holds(config)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"knob": "seed", "low": 1, "high": 9}, "seed cannot be searched: it decides the stage split"),
        (
            {"knob": "audio.trim_db", "low": 1.0, "high": 9.0},
            "audio.trim_db cannot be searched: it decides the stage features",
        ),
        (
            {"knob": "dataset.variant", "choices": [None, "esc10"]},
            "dataset.variant cannot be searched: it decides the stage prepare",
        ),
        ({"knob": "evaluate.overlap", "low": 0.0, "high": 0.5}, "overlap cannot be searched: it changes nothing about"),
        ({"knob": "engine.workers", "low": 1, "high": 2}, "engine.workers cannot be searched: it changes nothing"),
        (
            {"knob": "train.learning_rat", "low": 1.0e-3, "high": 1.0e-2},
            "tune.space: train.learning_rat is not a knob; did you mean train.optimizer.learning_rate?",
        ),
        ({"knob": "train", "choices": [1, 2]}, "tune.space: train is not a knob"),
        ({"knob": "frontend.n_fft", "choices": [512, 10**9]}, "frontend.n_fft=1000000000: "),
        ({"knob": "frontend.n_fft", "low": 2, "high": 512}, "frontend.n_fft=2: "),
        ({"knob": "train.batch_size", "low": 4.5, "high": 9.5}, "train.batch_size=4.5: "),
        ({"knob": "backbone.dropout", "low": 0.0, "high": 1.0}, "backbone.dropout=1.0: "),
        ({"knob": "frontend.window", "choices": ["hann", "hannn"]}, "tune.space: frontend.window='hannn' "),
        (
            {"knob": "frontend.win_length", "choices": [64, 999]},
            "tune.space: frontend.win_length=999 exceeds n_fft=128",
        ),
        (RATE | {"low": 0.01}, "train.optimizer.learning_rate has low=0.01, which must be below high=0.01"),
        (RATE | {"low": 0.0}, "train.optimizer.learning_rate has low=0.0, which log: true takes no logarithm of"),
        (RATE | {"low": "a"}, "tune.space[0].low: 'a' is not a finite number"),
        (RATE | {"low": True}, "tune.space[0].low: True is not a finite number"),
        (RATE | {"step": 2}, "train.optimizer.learning_rate has step=2, which is for integers"),
        (RATE | {"choices": [0.1, 0.2]}, "train.optimizer.learning_rate has choices, and so neither low"),
        (MELS | {"choices": [8]}, "tune.space[0].choices=[8]: "),
        ({"knob": "train.optimizer.momentum"}, "train.optimizer.momentum needs low and high, or choices"),
        (MELS | {"chioces": [1, 2]}, "tune.space[0].chioces: unknown key; did you mean choices?"),
    ],
)
def test_space_that_cannot_be_searched_is_refused_with_the_reason(
    repository: Path, toy: Toy, entry: dict[str, Any], told: str
) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["tune"]["space"] = [entry]
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert told in refused(1)


def test_space_names_a_knob_once(repository: Path) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["tune"]["space"] = [MELS, RATE, MELS]
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert "space has frontend.mel.n_mels 2 times" in refused(1)


def test_suggested_values_keep_to_the_space_and_to_four_digits(toy: Toy) -> None:
    space = [
        RATE | {"high": 0.0123456},
        {"knob": "augment.freq_mask", "low": 1, "high": 12, "step": 4},
        {"knob": "frontend.window", "choices": ["hann", ["kaiser", 14.0]]},
        {"knob": "train.gradient_clip", "choices": [None, 1.0]},
    ]
    config = changed(toy.config, **{"tune.space": space})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = [[suggest(trial, each) for each in config.tune.space] for trial in (study.ask() for _ in range(60))]
    rates, masks, windows, clips = zip(*drawn, strict=True)
    assert all(0.001 <= rate <= 0.0123456 and float(f"{rate:.4g}") == rate for rate in rates)
    assert len(set(rates)) > 40
    assert set(masks) == {1, 5, 9}
    assert {str(window) for window in windows} == {"hann", "['kaiser', 14.0]"}
    assert 10 < windows.count("hann") < 50
    assert set(clips) == {None, 1.0}
    assert value_of(config.tune.space[0], 0.0123456) == 0.0123456  # not 0.01235, which lies outside
    for values in drawn[:3]:
        knobs = dict(zip((each.knob for each in config.tune.space), values, strict=True))
        assert with_knobs(config, knobs).frontend.window in ("hann", ("kaiser", 14.0))


# A study


@pytest.fixture
def quick_tpe(monkeypatch: pytest.MonkeyPatch) -> None:
    """TPE takes over from chance after two trials instead of ten."""
    real = optuna.samplers.TPESampler
    monkeypatch.setattr(studies, "TPESampler", lambda **options: real(n_startup_trials=2, **options))


LOSS = {"tune.objective": "validation_loss"}
STOPPING = LOSS | {"train.early_stopping_patience": 1, "train.epochs": 4, "train.optimizer.learning_rate": 0.01}


@pytest.mark.parametrize("knobs", [LOSS, STOPPING], ids=["last epoch", "early stopping"])
def test_best_knobs_give_the_very_value_of_the_trial(repository: Path, toy: Toy, knobs: dict[str, Any]) -> None:
    write_params(toy.config, [RATE | {"high": 0.05}, DROPOUT], **knobs)
    told = tuning.tune(2, "s").splitlines()
    best = min(trials_of(), key=lambda trial: trial.value)
    words = shlex.split(told[-1])
    assert words[:4] == ["dvc", "exp", "run", "-S"]
    found = {word.partition("=")[0]: float(word.partition("=")[2]) for word in words[4::2]}
    config = with_knobs(load_config(Path("params.yaml")), found)
    root = repository / "apart"
    clips, folds = read_clips(Path("data/clips.csv")), read_folds(Path("data/folds.csv"))
    cross_validate(clips, folds, config, Path("data/features"), root / "models", root, NoRun)
    values = [counted_value(root / "models" / f"fold-{fold}", config) for fold in (1, 2)]
    assert sum(values) / 2 == best.value
    assert told[3].split()[:2] == [str(best.number), f"{best.value:.4f}"]


def test_study_is_recorded_in_mlflow(repository: Path, toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    write_params(toy.config, [RATE, MELS], **LOSS)
    tuning.tune(2, "s")
    tuning.tune(3, "s")  # goes on, in the same parent
    client = MlflowRun(repository, "0", toy.config, toy.clips, Origin()).client
    runs = client.search_runs([client.get_experiment_by_name("adaspec").experiment_id])
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    children = {run.info.run_name: run for run in runs if run is not parent}
    assert sorted(children) == ["trial-0", "trial-1", "trial-2"]
    best = min(trials_of(), key=lambda trial: trial.value)
    assert parent.info.run_name == "s"
    assert parent.info.status == "FINISHED"
    assert parent.data.params["train.epochs"] == "2"
    assert "train.optimizer.learning_rate" not in parent.data.params
    assert parent.data.metrics["best_value"] == best.value
    assert parent.data.tags["adaspec.best_trial"] == str(best.number)
    assert parent.data.tags["best.frontend.mel.n_mels"] == best.params["frontend.mel.n_mels"]
    for trial in trials_of():
        run = children[f"trial-{trial.number}"]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["adaspec.state"] == "complete"
        assert run.info.status == "FINISHED"
        assert run.data.metrics["value"] == trial.value
        assert run.data.params["frontend.mel.n_mels"] == trial.params["frontend.mel.n_mels"]
        curve = client.get_metric_history(run.info.run_id, "validation_loss")
        assert {point.step: point.value for point in curve} == trial.intermediate_values
    assert "warning" not in capsys.readouterr().err


def test_study_survives_a_broken_mlflow(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "mlflow.db").write_bytes(b"this is no database\n" * 200)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert tuning.tune(1, "s").splitlines()[-1].startswith("dvc exp run")
    assert capsys.readouterr().err.count("warning: MLflow records no more") == 1


@pytest.mark.usefixtures("quick_tpe")
def test_study_that_is_stopped_and_goes_on_comes_out_as_without_the_break(
    repository: Path, toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    write_params(toy.config, [RATE, DROPOUT, MELS], **LOSS)
    tuning.tune(4, "whole")
    with monkeypatch.context() as patch:
        on_fold(patch, 5, lambda: os.kill(os.getpid(), signal.SIGINT))  # the second fold of the third trial
        with pytest.raises(SystemExit) as caught:
            tuning.tune(4, "broken")
    assert caught.value.code == 130
    assert "stopped; the same command goes on with study broken" in capsys.readouterr().err
    assert [trial.state for trial in trials_of("broken")][-2:] == [TrialState.FAIL, TrialState.WAITING]
    assert list((repository / ".adaspec" / "tune").iterdir()) == []
    tuning.tune(4, "broken")
    whole, broken = (values_of(toy.config, trials_of(name)) for name in ("whole", "broken"))
    assert len(whole) == 4
    assert broken == whole
    assert len({json.dumps(params) for _, params, _ in whole}) == 4
    assert signal.getsignal(signal.SIGINT) is handler  # Ctrl+C is what it was


def test_worker_ends_cleanly_when_it_is_told_to_before_its_first_trial(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers.Worker, "_check_data", lambda self: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as caught:
        tuning.tune(1, "s")
    assert caught.value.code == 130
    assert [trial.state for trial in trials_of()] == [TrialState.WAITING]


@pytest.mark.usefixtures("quick_tpe")
def test_study_after_a_killed_worker_comes_out_as_without_the_break(repository: Path, toy: Toy) -> None:
    """What the dead worker had in hand is found by its lock, at once."""
    write_params(toy.config, [RATE, MELS], **LOSS)
    tuning.tune(3, "whole")
    tuning.tune(1, "broken")
    config = load_config(Path("params.yaml"))
    dead = repository / ".adaspec" / "tune" / "dead"
    dead.mkdir(parents=True)
    (dead / "lock").touch()
    study = studies.open_study(config, repository, "broken", None)
    with pytest.warns(UserWarning, match="Heartbeat of storage"):
        trial = study.ask()
    trial.set_user_attr("worker", "dead")
    suggest(trial, config.tune.space[0])  # it came no further
    tuning.tune(3, "broken")
    assert [trial.state.name for trial in trials_of("broken")] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert values_of(config, trials_of("broken")) == values_of(config, trials_of("whole"))
    assert not dead.exists()


def test_study_with_enough_trials_only_tells_the_best(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tuning.tune(1)
    monkeypatch.setattr(tuning, "update_data", lambda root: pytest.fail("nothing is needed"))
    assert tuning.tune(1) == first
    assert first.splitlines()[0].startswith("study tune-")
    assert "the values of params.yaml" in first


def test_trials_that_fail_are_told_and_the_study_goes_on(
    repository: Path, toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    diverging = {"train.gradient_clip": None, "train.ema_decay": None}
    space = [
        {"knob": "train.optimizer.learning_rate", "choices": [0.002, 1.0e20]},
        {"knob": "frontend.n_fft", "choices": [128, 64]},  # below win_length
    ]
    write_params(toy.config, space, **diverging)
    told = tuning.tune(8, "s")
    errors = [trial.user_attrs["error"] for trial in trials_of() if trial.state == TrialState.FAIL]
    assert any(error.startswith("training diverged in epoch") for error in errors)
    assert any("win_length=128 exceeds n_fft=64" in error for error in errors)
    assert f"study s: 8 trials, {8 - len(errors)} complete, 0 pruned, {len(errors)} failed" in told
    assert told.splitlines()[-1] == "dvc exp run -S train.optimizer.learning_rate=0.002 -S frontend.n_fft=128"
    assert all(error in capsys.readouterr().err for error in errors[:1])


def test_study_whose_trials_all_fail_says_why(repository: Path, toy: Toy) -> None:
    write_params(toy.config, [{"knob": "frontend.n_fft", "choices": [64, 32]}])
    told = refused(3, "s")
    assert told.startswith("all 3 trials failed, the last one: ")
    assert "win_length=128 exceeds n_fft=" in told


@pytest.mark.parametrize("pruner", ["median", "none"])
def test_hopeless_trial_is_ended_early(repository: Path, toy: Toy, pruner: str) -> None:
    write_params(toy.config, [RATE | {"low": 1.0e-9}], **LOSS, **{"tune.pruner": pruner})
    study = studies.open_study(load_config(Path("params.yaml")), repository, "s", None)
    distributions = {"train.optimizer.learning_rate": optuna.distributions.FloatDistribution(1.0e-9, 1.0e-2, log=True)}
    for number in range(5):
        good = {step: 0.1 + number / 100 for step in (1, 2, 3, 4)}
        params = {"train.optimizer.learning_rate": 0.01}
        study.add_trial(
            optuna.create_trial(
                value=0.1 + number / 100, params=params, distributions=distributions, intermediate_values=good
            )
        )
    told = tuning.tune(6, "s")  # the one with the values of params.yaml, whose loss is several times higher
    (trial,) = (trial for trial in trials_of() if trial.user_attrs.get("present"))
    if pruner == "median":
        assert trial.state == TrialState.PRUNED
        assert list(trial.intermediate_values) == [1]
        assert "6 trials, 5 complete, 1 pruned, 0 failed" in told
    else:
        assert trial.state == TrialState.COMPLETE
        assert list(trial.intermediate_values) == [1, 2, 3, 4]


def test_study_that_was_begun_with_other_settings_is_refused(repository: Path, toy: Toy) -> None:
    tuning.tune(1, "s")
    write_params(
        toy.config, [RATE, MELS], **{"train.epochs": 3, "engine.workers": 2, "train.optimizer.learning_rate": 0.005}
    )
    told = refused(2, "s")
    assert "study s was begun with other settings than params.yaml has now: train.epochs=3 instead of 2; go" in told
    write_params(toy.config, [RATE | {"high": 0.02}, MELS])
    assert "tune.space=" in refused(2, "s")
    write_params(toy.config, [RATE, MELS], **{"engine.workers": 2, "train.optimizer.learning_rate": 0.005})
    assert tuning.tune(1, "s")  # neither time nor what is searched anyway makes another study


def test_study_that_was_begun_with_other_folds_is_refused(repository: Path) -> None:
    tuning.tune(1, "s")
    folds = read_folds(Path("data/folds.csv"))
    write_csv(Path("data/folds.csv"), folds.iloc[1:])
    assert "study s was begun with other clips or folds than data/clips.csv and data/folds.csv list" in refused(2, "s")


def test_worker_ends_where_the_data_are_changed_under_it(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_fold(monkeypatch, 1, lambda: write_csv(Path("data/folds.csv"), read_folds(Path("data/folds.csv")).iloc[1:]))
    assert "data was changed while trials ran" in refused(3, "s")
    assert [trial.state for trial in trials_of()] == [TrialState.COMPLETE]


def test_folds_without_validation_clips_are_refused(repository: Path) -> None:
    folds = read_folds(Path("data/folds.csv"))
    write_csv(Path("data/folds.csv"), folds[(folds["role"] != "validation") | (folds["fold"] == 1)])
    assert refused(1, "s").startswith("fold 2 has no validation clips, by which trials are compared; set split.")


def test_test_clips_are_not_read(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folds = read_folds(Path("data/folds.csv"))
    write_csv(Path("data/folds.csv"), folds[folds["fold"] == 1])
    test = set(folds["clip_id"][(folds["fold"] == 1) & (folds["role"] == "test")])
    read: set[str] = set()
    real = FeatureStore._found
    monkeypatch.setattr(FeatureStore, "_found", lambda self, clip: read.add(clip) or real(self, clip))
    given: set[str] = set()
    fit_fold = workers.fit_fold

    def noting(fold: int, rows: Any, *others: Any, **keywords: Any) -> None:
        given.update(rows["role"])
        fit_fold(fold, rows, *others, **keywords)

    monkeypatch.setattr(workers, "fit_fold", noting)
    tuning.tune(1, "s")
    assert len(test) > 2
    assert read == set(folds["clip_id"]) - test
    assert given == {"train", "validation"}


def test_trial_that_was_taken_for_lost_is_left_to_the_others(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def take() -> None:
        study = optuna.load_study(study_name="s", storage="sqlite:///.adaspec/studies.db")
        studies.run_again(study, study.tell(0, state=TrialState.FAIL))

    on_fold(monkeypatch, 1, take)
    assert "2 trials, 2 complete" in tuning.tune(2, "s")
    assert "another worker took trial 0 for lost" in capsys.readouterr().err
    assert [trial.state.name for trial in trials_of()] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert trials_of()[0].params == trials_of()[1].params


def test_trial_that_another_worker_made_superfluous_is_not_run(repository: Path) -> None:
    tuning.tune(1, "s")
    config = load_config(Path("params.yaml"))
    study = studies.open_study(config, repository, "s", None)
    folder = repository / ".adaspec" / "tune" / "me"
    folder.mkdir()
    worker = workers.Worker(study, config, repository, folder)
    worker.n_trials = 1
    worker._run_one()
    assert [trial.state.name for trial in trials_of()] == ["COMPLETE", "FAIL"]
    assert len(studies.finished_trials(trials_of())) == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "ArgumentError"),
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("postgresql+psycopg2://ann:secret@localhost/x", "driver is not installed"),
        ("mysql+nothing://ann:secret@localhost/x", "NoSuchModuleError"),
    ],
)
def test_database_that_cannot_be_opened_is_told_in_a_line_without_passwords(
    repository: Path, url: str, reason: str
) -> None:
    told = refused(1, "s", url)
    assert told.startswith(f"the study's database cannot be opened: {reason}") or reason in told.split(";")[0]
    assert "secret" not in told


def test_command_works_after_params_are_restored(repository: Path, toy: Toy) -> None:
    write_params(toy.config, [RATE, MELS])
    for command in ("git init -q", "git config user.name T", "git config user.email t@example.org", "git add -A"):
        subprocess.run(shlex.split(command), check=True)
    subprocess.run(["git", "commit", "-qm", "Start"], check=True)
    committed = Path("params.yaml").read_text()
    write_params(toy.config, [DROPOUT, MELS], **{"train.epochs": 1, "frontend.window": ["kaiser", 14.0]})
    here = load_config(Path("params.yaml"))
    command = tuning.tune(1, "s").splitlines()[-1]
    Path("params.yaml").write_text(committed)
    after_dvc(command)
    there = load_config(Path("params.yaml"))
    assert there.train.epochs == 1
    flat = {key: value for key, value in flatten(here).items() if not key.startswith("tune.")}
    assert flat.items() <= flatten(there).items()


def after_dvc(command: str) -> None:
    """Change params.yaml as `dvc exp run` does, by the words that a POSIX shell makes of the command."""
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import apply_overrides

    for path, overrides in to_path_overrides(shlex.split(command)[4::2]).items():
        apply_overrides(path, overrides)


def test_recipe_may_bring_its_own_space(repository: Path, toy: Toy) -> None:
    (repository / "recipes").mkdir()
    space = [RATE, {"knob": "frontend.window", "choices": ["hann", ["kaiser", 14.0]]}, MELS | {"choices": [None, 16]}]
    (repository / "recipes" / "own.yaml").write_text("# Own\n" + yaml.safe_dump({"tune": {"space": space}}))
    knobs, config = read_recipe("own")
    after_dvc(recipe_command(knobs))
    assert load_config(Path("params.yaml")) == config
    assert [each.knob for each in config.tune.space] == [each["knob"] for each in space]


def test_command_line_passes_everything_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from adaspec.cli import app

    calls = []
    monkeypatch.setattr(tuning, "tune", lambda *arguments: calls.append(arguments) or "told")
    assert CliRunner().invoke(app, ["tune"], env={"ADASPEC_STORAGE": "postgresql://h/x"}).output == "told\n"
    CliRunner().invoke(app, ["tune", "--trials", "3", "--study", "s", "--storage", "sqlite:///a.db"])
    assert calls == [(20, None, "postgresql://h/x"), (3, "s", "sqlite:///a.db")]


WORKER = """
import sys
from types import SimpleNamespace
from optuna.storages._heartbeat import HeartbeatThread
from adaspec.experiments import tuning
from adaspec.experiments.tuning import presence, study, worker
from adaspec.runtime.console import configure_logging
configure_logging()
tuning.update_data = lambda root: None
study.HEARTBEAT_S, study.GRACE_S, worker.POLL_S = 1, 6, 0.2
presence.uuid = SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=sys.argv[2]))
if sys.argv[2] == "killed":  # before the thread of its heartbeats has run
    HeartbeatThread.start = HeartbeatThread.join = lambda self: None
print(tuning.tune(int(sys.argv[1]), "s"))
"""


def test_two_workers_share_a_study_and_one_is_killed(repository: Path, toy: Toy) -> None:
    """Both begin at once, so that both create the database. Of the dead one no lock tells, as on another machine."""
    write_params(toy.config, [RATE, DROPOUT], **{"tune.pruner": "none"})
    workers, own = {}, repository / ".adaspec/tune/killed"
    for name in ("killed", "other"):
        with (repository / f"{name}.err").open("w") as err:
            command = [sys.executable, "-c", WORKER, "6", name]
            workers[name] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True)
    with workers["killed"] as killed, workers["other"] as other:
        while not own.exists() or not any(map(is_of_killed, trials_of())):
            assert killed.poll() is None, (repository / "killed.err").read_text()
            time.sleep(0.02)
        killed.kill()
        killed.wait()
        (in_hand,) = (trial.number for trial in trials_of() if is_of_killed(trial))
        assert has_ended(own)
        shutil.rmtree(own)
        out, _ = other.communicate(timeout=120)
    assert other.returncode == 0, (repository / "other.err").read_text()
    trials = trials_of()
    finished = studies.finished_trials(trials)
    assert [trial.state for trial in finished] == 6 * [TrialState.COMPLETE]
    (again,) = (trial for trial in trials if trial.system_attrs.get("failed_trial") is not None)
    assert again.system_attrs["failed_trial"] == in_hand
    assert trials[in_hand].state == TrialState.FAIL
    assert trials[in_hand].params.items() <= again.params.items()
    lines = out.splitlines()
    assert lines[0] == "study s: 6 trials, 6 complete, 0 pruned, 0 failed"
    assert lines[3].split()[1] == f"{max(trial.value for trial in finished):.4f}"
    assert lines[-1].startswith("dvc exp run -S train.optimizer.learning_rate=")
    assert "Warning" not in (repository / "other.err").read_text()


def is_of_killed(trial: optuna.trial.FrozenTrial) -> bool:
    return trial.state == TrialState.RUNNING and trial.user_attrs.get("worker") == "killed"
