"""What the measuring programs ask of runs, without running any."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toydata import PARAMS, changed

from adaspec.config import Config
from adaspec.datasets import asvspoof2019_la
from adaspec.datasets.clips import examine_clips
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
