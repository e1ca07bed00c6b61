import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel
from toydata import changed, small_config

import adaspec
from adaspec.config import Config, flatten, knobs
from adaspec.config.knobs import STAGES, reads
from adaspec.tracking import digest as module
from adaspec.tracking.digest import training_digest

PACKAGE = Path(adaspec.__file__).parent
ROOMS = STAGES["train"].rooms
CLIPS = pd.DataFrame({"clip_id": ["a", "b", "c"], "label": ["x", "y", "x"], "digest": ["01", "02", "03"]})
FOLDS = pd.DataFrame(
    {"fold": [1, 1, 1], "clip_id": ["a", "b", "c"], "role": ["train", "train", "test"], "weight": [1, 1, 1]}
)
CONFIG = small_config(Path("raw"))
KNOBS = list(flatten(CONFIG))


def digest(config: Config = CONFIG, clips: pd.DataFrame = CLIPS, folds: pd.DataFrame = FOLDS) -> str:
    return training_digest(config, clips, folds)


def altered(section: Any, knob: str) -> Any:
    """A copy in which the knob has a value that none could have."""
    first, _, rest = knob.partition(".")
    value = altered(getattr(section, first), rest) if rest else "another"
    assert isinstance(section, BaseModel)
    return section.model_copy(update={first: value})


def test_digest_is_the_same_for_the_same_training() -> None:
    assert digest() == digest(Config.model_validate(CONFIG.model_dump()), CLIPS.copy(), FOLDS.copy())


def test_digest_names_a_folder() -> None:
    assert digest().isalnum()
    assert len(digest()) >= 12


@pytest.mark.parametrize("knob", KNOBS)
def test_digest_changes_with_the_knobs_of_training_and_with_no_other(knob: str) -> None:
    assert (digest(altered(CONFIG, knob)) != digest()) == reads(knob, STAGES["train"].sections)


@pytest.mark.parametrize(
    ("knob", "decides"),
    [
        ("train.optimizer.momentum", True),
        ("frontend.kernels.band_width", True),
        ("augment.mix.alpha", True),
        ("features.window.pad", True),
        ("split.balance", True),
        ("dataset.root", False),
        ("features.clips_per_shard", False),
        ("split.n_folds", False),
        ("evaluate.vote", False),
        ("tracking.tracker", False),
        ("engine.checkpoint_interval_s", False),
        ("tune.objective", False),
    ],
)
def test_sections_of_training_are_those_that_decide_weights(knob: str, decides: bool) -> None:
    assert (digest(altered(CONFIG, knob)) != digest()) == decides


@pytest.mark.parametrize(("column", "value"), [("digest", "04"), ("label", "y"), ("clip_id", "d")])
def test_digest_changes_with_a_clip(column: str, value: str) -> None:
    clips = CLIPS.copy()
    clips.loc[2, column] = value
    assert digest(clips=clips) != digest()


@pytest.mark.parametrize(("column", "value"), [("role", "validation"), ("fold", 2), ("weight", 2), ("clip_id", "d")])
def test_digest_changes_with_a_fold_assignment(column: str, value: str | int) -> None:
    folds = FOLDS.copy()
    folds.loc[1, column] = value
    assert digest(folds=folds) != digest()


def test_digest_changes_with_the_weights_that_training_begins_with(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    timm = {"backbone.name": "timm:resnet18", "backbone.timm.pretrained": True, "backbone.timm.weights": str(weights)}
    digests = set()
    for content in (b"", b"1", b"2"):
        weights.write_bytes(content)
        digests.add(digest(changed(CONFIG, **timm)))
    assert len(digests) == 3


@pytest.mark.parametrize("package", module.PACKAGES)
def test_digest_changes_with_a_library_that_computes(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    before = digest()
    monkeypatch.setattr(module, "version", lambda name: "0.0" if name == package else "1.0")
    one = digest()
    monkeypatch.setattr(module, "version", lambda name: "1.0")
    assert len({before, one, digest()}) == 3


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code, which the digest takes for its own."""
    copied = tmp_path / "adaspec"
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(knobs, "__file__", str(copied / "config" / "knobs.py"))
    return copied


def test_digest_is_that_of_the_same_code_elsewhere(package: Path) -> None:
    in_copy = digest()
    shutil.rmtree(package / "experiments")
    assert digest() == in_copy


@pytest.mark.parametrize("room", ROOMS)
def test_digest_changes_with_the_code_of_its_rooms(package: Path, room: str) -> None:
    before = digest()
    path = package / room
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert files
    for file in (files[0], files[-1]):
        content = file.read_bytes()
        file.write_bytes(content + b"# another\n")
        assert digest() != before
        file.write_bytes(content)
    assert digest() == before
    if path.is_dir():
        (path / "further.py").write_text("")
        assert digest() != before


def test_digest_does_not_change_with_any_other_code(package: Path) -> None:
    before = digest()
    of_rooms = {
        file for room in ROOMS for file in [package / room, *(package / room).rglob("*.py")] if file.suffix == ".py"
    }
    others = set(package.rglob("*.py")) - of_rooms
    names = {file.relative_to(package).parts[0] for file in others}
    assert names >= {"cli.py", "experiments", "tracking", "evaluation", "config", "datasets"}
    for file in others:
        file.write_bytes(file.read_bytes() + b"# another\n")
    assert digest() == before
