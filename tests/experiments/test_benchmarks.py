"""What the measuring programs ask of runs, without running any."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toydata import PARAMS, changed

from adaspec.config import Config
from adaspec.datasets import asvspoof2019_la
from adaspec.datasets.clips import examine_clips
from adaspec.experiments.recipes import read_recipe
from adaspec.tables.splits import make_folds

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def test_variants_are_known_names_or_knobs() -> None:
    learning = importlib.import_module("learning")
    asked = learning.variants_of(["mel", "noise=augment.noise.snr_db=[15.0,40.0],augment.speed=0.0"])
    assert asked == {
        "fixed": [],
        "mel": ["frontend.learn_mel=true"],
        "noise": ["augment.noise.snr_db=[15.0,40.0]", "augment.speed=0.0"],
    }
    for text, message in (
        ("other", "other is no variant"),
        ("fixed=augment.speed=0.0", "fixed is the recipe as it is"),
    ):
        with pytest.raises(SystemExit, match=message):
            learning.variants_of([text])


def write_la(root: Path) -> None:
    """Two speakers in the layout of LA, with the attacks A01 to A06."""
    families = importlib.import_module("families")
    (root / families.PROTOCOLS).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, speaker in (("train", "S1"), ("dev", "S2"), ("eval", "S3")):
        families.audio(root, part, "").parent.mkdir(parents=True)
        lines = []
        for number, attack in enumerate(["-"] * 4 + [f"A0{index}" for index in range(1, 7)]):
            name, key = f"{part}-{number}", "bonafide" if attack == "-" else "spoof"
            soundfile.write(families.audio(root, part, name), 0.1 * rng.standard_normal(8000), 8000, subtype="PCM_16")
            lines.append(f"{speaker} {name} - {attack} {key}\n")
        (root / families.PROTOCOLS / families.CM.format(families.LISTS[part])).write_text("".join(lines))


def test_a_family_that_is_left_out_is_in_eval_alone(tmp_path: Path) -> None:
    families = importlib.import_module("families")
    write_la(tmp_path / "LA")
    config = changed(Config.model_validate(PARAMS), **{"split.scheme": "official"})
    for family, attacks in families.ATTACKS.items():
        families.write_set(tmp_path / "LA", tmp_path / family, family)
        listed = asvspoof2019_la.read(tmp_path / family, config.dataset)
        clips, _ = examine_clips(listed, tmp_path / family, "fail", "fail", 1)
        found = {part: set(rows["attack"]) for part, rows in clips.groupby("subset")}
        assert found["eval"] == {"-", *attacks, *(method.__name__ for method in families.FAMILIES[family])}
        assert found["train"] == found["dev"] == {"-", "A01", "A02", "A03", "A04", "A05", "A06"} - set(attacks)
        assert set(make_folds(clips, config.split, 0)["role"]) == {"train", "validation", "test"}


def test_a_kept_run_is_taken_for_no_other(tmp_path: Path) -> None:
    accuracy = importlib.import_module("accuracy")
    folder = tmp_path / "seed-1"
    folder.mkdir()
    assert not accuracy.is_kept(folder, "esc10-fast", ["seed=1"])
    accuracy.mark_kept(folder, "esc10-fast", ["seed=1"], ROOT)
    assert accuracy.is_kept(folder, "esc10-fast", ["seed=1"])
    for recipe, settings in (("esc10-best", ["seed=1"]), ("esc10-fast", ["seed=1", "train.epochs=5"])):
        with pytest.raises(SystemExit, match="holds a run of other settings"):
            accuracy.is_kept(folder, recipe, settings)


def test_runs_of_several_commits_make_no_record(tmp_path: Path) -> None:
    accuracy = importlib.import_module("accuracy")
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        accuracy.mark_kept(folder, "esc10-fast", [], ROOT)
    made = accuracy.made_alike(folders, tmp_path)
    assert made["trained_at"] == accuracy.record.head(ROOT)
    other = json.dumps(made | {"trained_at": "another"})
    (folders[1] / accuracy.MADE).write_text(other)
    with pytest.raises(SystemExit, match="several machines, versions or commits"):
        accuracy.made_alike(folders, tmp_path)


def test_an_earlier_run_leaves_nothing_in_what_is_kept(tmp_path: Path) -> None:
    accuracy = importlib.import_module("accuracy")
    details, out = tmp_path / "repository" / accuracy.DETAILS, tmp_path / "seed-1"
    (details / "folds").mkdir(parents=True)
    for name in (*accuracy.KEPT, "frontend.json"):
        (details / name).write_text("{}")
    accuracy.keep(tmp_path / "repository", out)
    assert (out / "frontend.json").exists()
    (details / "frontend.json").unlink()
    accuracy.keep(tmp_path / "repository", out)
    assert not (out / "frontend.json").exists()


def test_noise_is_corrected_for_all_ratios_together() -> None:
    learning = importlib.import_module("learning")
    rows = [{"p_value": p_value} for p_value in (0.04, 0.01, 0.5)]
    learning.correct_together(rows)
    assert [row["p_holm"] for row in rows] == pytest.approx([0.08, 0.03, 0.5])


def test_the_plain_script_knows_what_the_fast_recipe_changes() -> None:
    train_speed = importlib.import_module("train_speed")
    _, config = read_recipe("esc10-fast", ROOT)
    train_speed.check_changes(config.augment)
    with pytest.raises(SystemExit, match=r"augment\.speed"):
        train_speed.check_changes(config.augment.model_copy(update={"speed": 0.1}))


def test_learning_describes_a_difference_that_has_no_interval() -> None:
    learning = importlib.import_module("learning")
    row = {"name": "phase", "eer": 0.15, "difference": 0.02, "difference_low": None, "difference_high": None}
    assert learning.describe(row | {"p_value": 1.0, "p_holm": 1.0}, "eer") == "phase: 0.1500  +0.0200"
