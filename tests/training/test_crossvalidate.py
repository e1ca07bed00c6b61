import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from toydata import Toy, changed, differing

from adaspec.config import Config
from adaspec.errors import InputError
from adaspec.training.crossvalidate import cross_validate


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def crossed(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository after a training of two folds, one at a time."""
    root = tmp_path_factory.mktemp("crossed")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(root)
        cross_validate(toy.clips, toy.folds, toy.config, toy.features, root / "models", root)
    return root


def leftovers(root: Path) -> list[Path]:
    return list((root / ".adaspec" / "checkpoints").rglob("*"))


def test_cross_validate_writes_a_folder_per_fold(crossed: Path) -> None:
    assert sorted(path.name for path in (crossed / "models").iterdir()) == ["fold-1", "fold-2"]
    for fold in (1, 2):
        names = sorted(path.name for path in (crossed / "models" / f"fold-{fold}").iterdir())
        assert names == ["history.jsonl", "model.json", "model.safetensors"]
    assert differing(crossed / "models" / "fold-1", crossed / "models" / "fold-2") != []


def test_cross_validate_leaves_no_checkpoints(crossed: Path) -> None:
    assert (crossed / "models").is_dir()
    assert leftovers(crossed) == []


def test_cross_validate_in_parallel_gives_the_same_bytes(
    toy: Toy, crossed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = changed(toy.config, **{"engine.parallel_folds": 2})
    (tmp_path / "mlflow.db").write_bytes((crossed / "mlflow.db").read_bytes())
    cross_validate(toy.clips, toy.folds, config, toy.features, tmp_path / "models", tmp_path)
    assert differing(crossed / "models", tmp_path / "models") == []
    assert leftovers(tmp_path) == []
    err = capfd.readouterr().err
    assert "training 2 folds, 2 at a time\n" in err
    assert sum(line.endswith("done") for line in err.splitlines()) == 2
    assert "warning" not in err.lower()


def test_cross_validate_goes_on_with_folds_that_were_trained(
    toy: Toy, crossed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlflow.db").write_bytes((crossed / "mlflow.db").read_bytes())
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        cross_validate(toy.clips, toy.folds, toy.config, toy.features, tmp_path / "file" / "models", tmp_path)
    weights = {path: path.stat().st_mtime_ns for path in leftovers(tmp_path) if path.suffix == ".safetensors"}
    assert len(weights) == 2
    capsys.readouterr()
    cross_validate(toy.clips, toy.folds, toy.config, toy.features, tmp_path / "models", tmp_path)
    assert "going on with a training that was interrupted: 2 folds had begun\n" in capsys.readouterr().err
    assert differing(crossed / "models", tmp_path / "models") == []
    assert leftovers(tmp_path) == []


def test_cross_validate_keeps_the_old_models_until_all_are_trained(toy: Toy, crossed: Path, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes((crossed / "mlflow.db").read_bytes())
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "old").write_text("old")
    folds = toy.folds.copy()
    folds.loc[folds["fold"] == 2, "clip_id"] = "missing"
    clips = toy.clips.copy()
    clips.loc[len(clips)] = clips.loc[0]
    clips.loc[len(clips) - 1, "clip_id"] = "missing"
    with pytest.raises(KeyError):
        cross_validate(clips, folds, toy.config, toy.features, tmp_path / "models", tmp_path)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["old"]


SCRIPT = """
import json, os, sys
from pathlib import Path
from adaspec.config import Config
from adaspec.tables import read_clips, read_folds
from adaspec.training.crossvalidate import cross_validate

if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    config = Config.model_validate(task["config"])
    clips, folds = read_clips(Path("clips.csv")), read_folds(Path("folds.csv"))
    for name, uri in task["uris"].items():
        os.environ["MLFLOW_TRACKING_URI"] = uri
        Path(name).mkdir()
        cross_validate(clips, folds, config, Path(task["features"]), Path(name, "models"), Path(name))
        print("----", file=sys.stderr, flush=True)
"""


def command(toy: Toy, config: Config, uris: dict[str, str]) -> list[str]:
    """Run `SCRIPT` in a process of its own: a training below each name, with MLflow's store at its address."""
    toy.clips.to_csv("clips.csv", index=False)
    toy.folds.to_csv("folds.csv", index=False)
    task = {"config": config.model_dump(mode="json"), "features": str(toy.features), "uris": uris}
    return [sys.executable, "-c", SCRIPT, json.dumps(task)]


def test_cross_validate_survives_a_broken_store(toy: Toy, crossed: Path, tmp_path: Path) -> None:
    (tmp_path / "corrupt.db").write_bytes(b"this is no database\n" * 200)
    (tmp_path / "file").write_text("")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uris = {
        "closed": f"http://127.0.0.1:{port}",
        "corrupt": f"sqlite:///{tmp_path / 'corrupt.db'}",
        "unwritable": f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}",
    }
    done = subprocess.run(
        command(toy, toy.config, uris),  # its stderr is what a user sees
        capture_output=True,
        text=True,
        env=os.environ | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
    )
    assert done.returncode == 0, done.stderr
    told = dict(zip(uris, done.stderr.split("----\n"), strict=False))
    for name in uris:
        lines = told[name].splitlines()
        assert sum(line.startswith("warning: MLflow") for line in lines) == 1, told[name]
        assert all(line.startswith(("warning: MLflow", "training 2 folds", "fold ")) for line in lines), told[name]
        assert differing(crossed / "models", tmp_path / name / "models") == []
        assert leftovers(tmp_path / name) == []


def test_cross_validate_that_is_killed_leaves_no_workers_behind(toy: Toy, tmp_path: Path) -> None:
    config = changed(toy.config, **{"engine.parallel_folds": 2, "train.epochs": 100_000})
    uris = {"run": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    with (tmp_path / "log").open("w") as log:
        main = psutil.Popen(command(toy, config, uris), stdout=log, stderr=log)
        started = [main]
        try:
            while len(list(tmp_path.glob("run/.adaspec/checkpoints/*/fold-*/last.ckpt"))) < 2:
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
            {"augment.resynthesis": 0.5},
            "augment.resynthesis=0.5 is for the labels bonafide and spoof, but the clips have",
        ),
        (
            {"train.loss.name": "oc_softmax", "backbone.head": "one_class"},
            "train.loss.name=oc_softmax is for the labels bonafide",
        ),
    ],
)
def test_cross_validate_refuses_anti_spoofing_of_other_sounds(
    toy: Toy, tmp_path: Path, knobs: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        cross_validate(toy.clips, toy.folds, changed(toy.config, **knobs), toy.features, tmp_path / "models", tmp_path)
