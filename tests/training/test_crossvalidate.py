import contextlib
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
import psutil
import pytest
from toydata import Toy, changed, differing

from adaspec.config import Config
from adaspec.errors import InputError
from adaspec.models.heard import read_heard, write_heard
from adaspec.models.start import models_digest
from adaspec.tracking import TRACKERS
from adaspec.tracking.digest import training_digest
from adaspec.tracking.none import NoRun
from adaspec.training.crossvalidate import check_training, cross_validate


class Recorder(NoRun):
    """Notes what it is told."""

    def __init__(self, digest: str) -> None:
        super().__init__()
        self.digest = digest
        self.events: list[str] = []
        self.histories: dict[int, list[dict[str, float]]] = {}

    def __enter__(self) -> Self:
        self.events.append("enter")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.events.append("exit" if kind is None else kind.__name__)

    def log_epochs(self, fold: int, history: Sequence[dict[str, float]]) -> None:
        assert self.events == ["enter"]
        self.histories[fold] = list(history)


def train(toy: Toy, root: Path, models: Path | None = None, **changes: Any) -> None:
    """Cross-validate without a record, below `root`."""
    task = {"clips": toy.clips, "folds": toy.folds, "config": toy.config} | changes
    task = {"open_run": TRACKERS["none"].run, "features": toy.features, "models": models or root / "models"} | task
    cross_validate(**task, root=root)


@pytest.fixture(scope="module")
def crossed(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository after a training of two folds, one at a time."""
    root = tmp_path_factory.mktemp("crossed")
    train(toy, root)
    return root


def leftovers(root: Path) -> list[Path]:
    return list((root / ".adaspec" / "checkpoints").rglob("*"))


def test_cross_validate_writes_a_folder_per_fold(crossed: Path) -> None:
    assert sorted(path.name for path in (crossed / "models").iterdir()) == ["fold-1", "fold-2"]
    for fold in (1, 2):
        names = sorted(path.name for path in (crossed / "models" / f"fold-{fold}").iterdir())
        assert names == ["heard.txt", "history.jsonl", "model.json", "model.safetensors"]
    assert differing(crossed / "models" / "fold-1", crossed / "models" / "fold-2") != []


def test_cross_validate_leaves_no_checkpoints(crossed: Path) -> None:
    assert (crossed / "models").is_dir()
    assert leftovers(crossed) == []


def test_cross_validate_in_parallel_gives_the_same_bytes(
    toy: Toy, crossed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = changed(toy.config, **{"engine.parallel_folds": 2})
    train(toy, tmp_path, config=config)
    assert differing(crossed / "models", tmp_path / "models") == []
    assert leftovers(tmp_path) == []
    err = capfd.readouterr().err
    assert "training 2 folds, 2 at a time\n" in err
    assert sum(line.endswith("done") for line in err.splitlines()) == 2
    assert "warning" not in err.lower()


def test_cross_validate_goes_on_with_folds_that_were_trained(
    toy: Toy, crossed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        train(toy, tmp_path, tmp_path / "file" / "models")
    weights = {path: path.stat().st_mtime_ns for path in leftovers(tmp_path) if path.suffix == ".safetensors"}
    assert len(weights) == 2
    capsys.readouterr()
    train(toy, tmp_path)
    assert "going on with a training that was interrupted: 2 folds had begun\n" in capsys.readouterr().err
    assert differing(crossed / "models", tmp_path / "models") == []
    assert leftovers(tmp_path) == []


def test_cross_validate_keeps_the_old_models_until_all_are_trained(toy: Toy, crossed: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "old").write_text("old")
    folds = toy.folds.copy()
    folds.loc[folds["fold"] == 2, "clip_id"] = "missing"
    clips = toy.clips.copy()
    clips.loc[len(clips)] = clips.loc[0]
    clips.loc[len(clips) - 1, "clip_id"] = "missing"
    with pytest.raises(KeyError):
        train(toy, tmp_path, clips=clips, folds=folds)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["old"]


SCRIPT = """
import json, os, sys
from pathlib import Path
from adaspec.config import Config
from adaspec.tables import read_clips, read_folds
from adaspec.tracking import TRACKERS
from adaspec.training.crossvalidate import cross_validate

if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    config = Config.model_validate(task["config"])
    clips, folds = read_clips(Path("clips.csv")), read_folds(Path("folds.csv"))
    models, run = Path("models"), TRACKERS["none"].run
    cross_validate(clips, folds, config, Path(task["features"]), models, Path(), run)
"""


def command(toy: Toy, config: Config, folder: Path) -> list[str]:
    """Run `SCRIPT` in a process of its own, in that folder."""
    toy.clips.to_csv(folder / "clips.csv", index=False)
    toy.folds.to_csv(folder / "folds.csv", index=False)
    task = {"config": config.model_dump(mode="json"), "features": str(toy.features)}
    return [sys.executable, "-c", SCRIPT, json.dumps(task)]


def test_cross_validate_opens_a_run_by_its_digest_and_tells_it_all_epochs(toy: Toy, tmp_path: Path) -> None:
    opened: list[Recorder] = []

    def open_run(digest: str) -> Recorder:
        opened.append(Recorder(digest))
        return opened[-1]

    train(toy, tmp_path, open_run=open_run)
    [run] = opened
    assert run.digest == training_digest(toy.config, toy.clips, toy.folds)
    assert run.events == ["enter", "exit"]
    assert {fold: len(history) for fold, history in run.histories.items()} == {1: 3, 2: 3}


def test_cross_validate_leaves_the_run_with_the_error(toy: Toy, tmp_path: Path) -> None:
    runs: list[Recorder] = []
    diverging = changed(toy.config, **{"train.optimizer.learning_rate": 1e20, "train.gradient_clip": None})

    def open_run(digest: str) -> Recorder:
        runs.append(Recorder(digest))
        return runs[-1]

    with pytest.raises(InputError, match="training diverged"):
        train(toy, tmp_path, config=diverging, open_run=open_run)
    assert [run.events for run in runs] == [["enter", "InputError"]]


def test_cross_validate_that_is_killed_leaves_no_workers_behind(toy: Toy, tmp_path: Path) -> None:
    config = changed(toy.config, **{"engine.parallel_folds": 2, "train.epochs": 100_000})
    with (tmp_path / "log").open("w") as log:
        main = psutil.Popen(command(toy, config, tmp_path), stdout=log, stderr=log, cwd=tmp_path)
        started = [main]
        try:
            while len(list(tmp_path.glob(".adaspec/checkpoints/*/fold-*/last.ckpt"))) < 2:
                assert main.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.1)
            started += main.children(recursive=True)
            main.kill()
            _, alive = psutil.wait_procs(started, timeout=60)
            assert alive == []
            assert len(started) > 3  # what the workers are forked from, and both of them
        finally:
            for process in started:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (
            {"augment.resynthesis.share": 0.5},
            "augment.resynthesis.share=0.5 is not for the labels ",
        ),
        (
            {"train.loss.contrast": 0.5, "augment.mix.name": "none"},
            "train.loss.contrast=0.5 is not for the labels ",
        ),
        (
            {"train.loss.name": "oc_softmax", "backbone.head": "one_class"},
            "train.loss.name=oc_softmax is not for the labels ",
        ),
    ],
)
def test_training_of_other_sounds_refuses_what_is_for_anti_spoofing(
    toy: Toy, tmp_path: Path, knobs: dict[str, object], message: str
) -> None:
    config = changed(toy.config, **knobs)
    with pytest.raises(InputError, match=message):
        check_training(config, toy.labels, (1, 2))
    with pytest.raises(InputError, match=message):
        train(toy, tmp_path, config=config)
    assert not (tmp_path / ".adaspec").exists()


def test_check_training_names_a_setting_of_a_layer_that_contradicts_another(toy: Toy) -> None:
    check_training(toy.config, toy.labels, (1, 2))
    with pytest.raises(InputError, match=r"params\.yaml frontend\.win_length=256 exceeds n_fft=128"):
        check_training(changed(toy.config, **{"frontend.win_length": 256}), toy.labels, (1, 2))
    with pytest.raises(InputError, match=r"params\.yaml backbone\.ast\.embed_dim=100 must be a multiple"):
        check_training(
            changed(toy.config, **{"backbone.name": "ast", "backbone.ast.embed_dim": 100}), toy.labels, (1, 2)
        )


def swapped(folds: pd.DataFrame) -> pd.DataFrame:
    """Folds 1 and 2 in each other's place."""
    return folds.assign(fold=3 - folds["fold"])


def test_a_model_that_has_heard_test_clips_starts_no_fold(toy: Toy, crossed: Path, tmp_path: Path) -> None:
    start = {"train.start": f"{crossed / 'models'}@{models_digest(crossed / 'models')}", "train.epochs": 1}
    config = changed(toy.config, **start)
    with pytest.raises(InputError, match=r"fold-1 was trained on 12 of the 12 recordings that fold 1 is tested with"):
        train(toy, tmp_path / "swapped", config=config, folds=swapped(toy.folds))
    assert not (tmp_path / "swapped/models").exists()
    train(toy, tmp_path / "same", config=config)
    # What the first model had heard is not forgotten, whatever the second was trained on.
    heard = read_heard(tmp_path / "same/models/fold-1")
    assert heard is not None
    assert set(heard) == set(read_heard(crossed / "models/fold-1") or ())
    write_heard(tmp_path, ["0" * 64], before=heard)
    assert set(read_heard(tmp_path) or ()) == {"0" * 16, *heard}


def test_a_model_that_does_not_say_what_it_heard_starts_with_a_warning(
    toy: Toy, crossed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    shutil.copytree(crossed / "models", models)
    (models / "fold-1/heard.txt").unlink()
    config = changed(toy.config, **{"train.start": f"{models}@{models_digest(models)}", "train.epochs": 1})
    train(toy, tmp_path / "repository", config=config)
    [told] = [line for line in capsys.readouterr().err.splitlines() if "does not say" in line]
    assert "fold 1" in told
    (models / "fold-1/heard.txt").write_bytes(b"\xff\x00")
    with pytest.raises(InputError, match=r"heard\.txt cannot be read"):
        train(toy, tmp_path / "repository", config=config)
