import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from adaspec.config import DatasetConfig
from adaspec.datasets import read_asv_scores, read_dataset, read_verification_trials
from adaspec.datasets.clips import examine_clips
from adaspec.errors import InputError
from adaspec.evaluation.scores.tandem import asv_errors

REAL = Path(os.environ.get("ADASPEC_SHARED", Path(__file__).parents[3] / "shared")) / "data"
PROTOCOLS = "ASVspoof2019_LA_cm_protocols"
CM = {
    "train": ("trn", ["LA_0079 LA_T_1 - - bonafide", "LA_0079 LA_T_2 - A01 spoof", "LA_0080 LA_T_3 - A04 spoof"]),
    "dev": ("trl", ["LA_0069 LA_D_1 - - bonafide", "LA_0069 LA_D_2 - A01 spoof"]),
    "eval": ("trl", ["LA_0001 LA_E_1 - A16 spoof", "LA_0001 LA_E_2 - - bonafide"]),
}
ASV = ["LA_0001 LA_E_2 bonafide target", "LA_0001 LA_E_9 bonafide nontarget", "LA_0001 LA_E_1 A16 spoof"]
UNLISTED = ("LA_E_9", "LA_E_A1", "LA_E_A2")  # in ASV lists alone: of a trial, and enrolment


def config(root: Path) -> DatasetConfig:
    content = {
        "name": "asvspoof2019_la",
        "root": str(root),
        "variant": None,
        "on_bad_clip": "fail",
        "on_missing": "fail",
    }
    return DatasetConfig.model_validate(content)


def make(root: Path) -> None:
    """The folder LA with seven trials, an enrolment list, ASV trials and their scores."""
    (root / PROTOCOLS).mkdir(parents=True)
    for part, (kind, lines) in CM.items():
        (root / PROTOCOLS / f"ASVspoof2019.LA.cm.{part}.{kind}.txt").write_text("\n".join(lines) + "\n")
        (root / f"ASVspoof2019_LA_{part}/flac").mkdir(parents=True)
        for index, line in enumerate(lines):
            samples = np.random.default_rng([index, len(part)]).uniform(-0.1, 0.1, 800)
            soundfile.write(root / f"ASVspoof2019_LA_{part}/flac/{line.split()[1]}.flac", samples, 16000)
    for index, name in enumerate(UNLISTED):
        samples = np.random.default_rng([9, index]).uniform(-0.1, 0.1, 800)
        soundfile.write(root / f"ASVspoof2019_LA_eval/flac/{name}.flac", samples, 16000)
    for folder in ("asv_protocols", "asv_scores"):
        (root / f"ASVspoof2019_LA_{folder}").mkdir()
    (root / "ASVspoof2019_LA_asv_protocols/ASVspoof2019.LA.asv.eval.male.trn.txt").write_text(
        "LA_0001 LA_E_A1,LA_E_A2\n"
    )
    (root / "ASVspoof2019_LA_asv_protocols/ASVspoof2019.LA.asv.eval.gi.trl.txt").write_text("\n".join(ASV) + "\n")
    scores = "bonafide target 3\nbonafide nontarget -1\nA16 spoof 2\n"
    (root / "ASVspoof2019_LA_asv_scores/ASVspoof2019.LA.asv.eval.gi.trl.scores.txt").write_text(scores)


@pytest.fixture
def la(tmp_path: Path) -> Path:
    make(tmp_path / "LA")
    return tmp_path / "LA"


def protocol(la: Path, part: str = "train") -> Path:
    return la / PROTOCOLS / f"ASVspoof2019.LA.cm.{part}.{CM[part][0]}.txt"


def test_read_lists_the_trials_with_their_speakers_and_attacks(la: Path) -> None:
    table = read_dataset(config(la))
    assert table.loc[table["use"] == "trial", "path"].tolist() == sorted(
        f"ASVspoof2019_LA_{part}/flac/{line.split()[1]}.flac" for part, (_, lines) in CM.items() for line in lines
    )
    row = table.set_index("path").loc["ASVspoof2019_LA_train/flac/LA_T_2.flac"]
    told = ["label", "group", "subset", "speaker", "attack", "use"]
    assert row[told].tolist() == ["spoof", "LA_0079", "train", "LA_0079", "A01", "trial"]
    assert set(table.loc[table["label"] == "bonafide", "attack"]) == {"-"}
    # What enrols a speaker, and what is in a verification trial alone, of which nothing tells who speaks.
    flac = "ASVspoof2019_LA_eval/flac"
    assert table.loc[table["use"] != "trial", ["path", *told]].to_numpy().tolist() == [
        [f"{flac}/LA_E_9.flac", "bonafide", f"{flac}/LA_E_9.flac", "eval", "", "-", "verification"],
        [f"{flac}/LA_E_A1.flac", "bonafide", "LA_0001", "eval", "LA_0001", "-", "enrolment"],
        [f"{flac}/LA_E_A2.flac", "bonafide", "LA_0001", "eval", "LA_0001", "-", "enrolment"],
    ]


@pytest.mark.parametrize("kind", ["*", "*.trn.txt"])
def test_without_enrolment_there_is_no_verification(kind: str, la: Path) -> None:
    enrolled = read_dataset(config(la))
    for path in la.glob(f"ASVspoof2019_LA_asv_protocols/{kind}"):
        path.unlink()
    table = read_dataset(config(la))
    trials = enrolled[enrolled["use"] == "trial"].drop(columns="use").reset_index(drop=True)
    pd.testing.assert_frame_equal(table, trials)
    assert read_verification_trials(config(la), table, table).empty


def test_read_takes_the_parent_folder_too(la: Path) -> None:
    table = read_dataset(config(la.parent))
    assert table["path"].str.startswith("LA/ASVspoof2019_LA_").all()
    assert (la.parent / table["path"].iloc[0]).is_file()
    assert len(read_asv_scores(config(la.parent))) == 3


def test_clips_carry_speaker_and_attack(la: Path) -> None:
    clips, _ = examine_clips(read_dataset(config(la)), la, "fail", "fail", 1)
    assert list(clips)[-3:] == ["speaker", "attack", "use"]
    trials = clips[clips["use"] == "trial"]
    assert trials["attack"].tolist() == ["-", "A01", "A16", "-", "-", "A01", "A04"]


def test_read_asv_scores_gives_system_key_and_score(la: Path) -> None:
    table = read_asv_scores(config(la))
    assert table.to_numpy().tolist() == [
        ["-", "target", 3.0],
        ["-", "nontarget", -1.0],
        ["A16", "spoof", 2.0],
    ]
    (la / "ASVspoof2019_LA_asv_scores/ASVspoof2019.LA.asv.eval.gi.trl.scores.txt").unlink()
    assert read_asv_scores(config(la)).empty


Change = Callable[[str], str]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("bonafide", "genuine"), "line 1: key 'genuine' must be bonafide or spoof"),
        (lambda text: text.replace("LA_T_3", "LA_T_1"), "line 3: LA_T_1 is already in "),
        (lambda text: text.replace("LA_T_3", "LA_D_1"), "dev.trl.txt line 1: LA_D_1 is already in "),
        (lambda text: text + "LA_0079 LA_T_9 - A01\n", "line 4: 'LA_0079 LA_T_9 - A01' has 4 columns"),
        (
            lambda text: "LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval\n" + text,
            "line 1: 'LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval' has 8 columns, ASVspoof 2019 LA has 5",
        ),
        (lambda text: text.replace("LA_T_2 -", "LA_T_2 aaa"), "line 2: column 3 is 'aaa'"),
        (lambda text: text.replace("- - bonafide", "- A01 bonafide"), "line 1: system 'A01' does not go with"),
        (lambda text: text.replace("LA_T_2", "../LA_T_2"), "line 2: file '../LA_T_2' must be a plain name"),
        (lambda text: text.replace("LA_T_2", "LA_E_A2"), "line 2: LA_E_A2 enrols a speaker in "),
    ],
)
def test_read_names_file_and_line_of_what_is_wrong(change: Change, message: str, la: Path) -> None:
    path = protocol(la)
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError) as caught:
        read_dataset(config(la))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_asv_scores_refuses_scores_of_other_trials(la: Path) -> None:
    path = la / "ASVspoof2019_LA_asv_protocols/ASVspoof2019.LA.asv.eval.gi.trl.txt"
    path.write_text("\n".join([ASV[1], ASV[0], ASV[2]]) + "\n")
    with pytest.raises(InputError, match=r"line 1: - nontarget, but .* has - target there"):
        read_asv_scores(config(la))
    path.write_text("\n".join(ASV[:2]) + "\n")
    with pytest.raises(InputError, match=r"has 3 trials, .* 2; take both from one release"):
        read_asv_scores(config(la))


def test_read_says_where_the_data_set_is(tmp_path: Path, la: Path) -> None:
    with pytest.raises(InputError, match="is not ASVspoof 2019 LA; give the folder LA"):
        read_dataset(config(la / PROTOCOLS))
    deep = tmp_path / "elsewhere"
    deep.mkdir()
    la.parent.joinpath("LA").rename(deep / "LA")
    with pytest.raises(InputError, match=f"set dataset.root={deep / 'LA'}"):
        read_dataset(config(tmp_path))
    protocol(deep / "LA", "dev").unlink()
    with pytest.raises(InputError, match=r"dev.trl.txt not found"):
        read_dataset(config(deep))


def test_missing_and_corrupt_files_are_told(la: Path) -> None:
    (la / "ASVspoof2019_LA_dev/flac/LA_D_2.flac").unlink()
    flac = la / "ASVspoof2019_LA_eval/flac/LA_E_1.flac"
    flac.write_bytes(flac.read_bytes()[:60])
    table = read_dataset(config(la))
    with pytest.raises(InputError, match=r"1 of 2 of dev, 0 of 5 of eval, 0 of 3 of train clips .* are missing"):
        examine_clips(table, la, "fail", "fail", 1)
    with pytest.raises(InputError, match=r"1 of 9 clips cannot be used: .*LA_E_1\.flac"):
        examine_clips(table, la, "fail", "skip", 1)
    clips, skipped = examine_clips(table, la, "skip", "skip", 1)
    assert len(clips) == 8
    assert skipped["path"].str[-11:].tolist() == ["LA_D_2.flac", "LA_E_1.flac"]


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there; set ADASPEC_SHARED")
@pytest.mark.parametrize(
    ("name", "clips", "enrolled", "trials"),
    [
        # Counts of its README: bona fide and spoofed clips; enrolment recordings and speakers; trials by key.
        (
            "minila",
            {"train": (60, 540), "dev": (84, 216), "eval": (150, 450)},
            {"dev": (19, 1), "eval": (38, 2)},
            {"dev": (84, 60, 216), "eval": (150, 150, 450)},
        ),
        (
            "librila",
            {"train": (366, 768), "dev": (101, 192), "eval": (234, 510)},
            {"dev": (80, 40), "eval": (146, 68)},
            {"dev": (101, 505, 192), "eval": (234, 1404, 510)},
        ),
    ],
)
def test_real_sets_are_read_whole(
    name: str,
    clips: dict[str, tuple[int, ...]],
    enrolled: dict[str, tuple[int, ...]],
    trials: dict[str, tuple[int, ...]],
) -> None:
    root = REAL / name / "LA"
    table = read_dataset(config(root))
    listed = table[table["use"] == "trial"].groupby(["subset", "label"]).size()
    assert {part: tuple(listed[part][["bonafide", "spoof"]]) for part in clips} == clips
    enrolment = table[table["use"] == "enrolment"].groupby("subset")["speaker"].agg(["size", "nunique"])
    assert {str(part): tuple(counts) for part, counts in enrolment.iterrows()} == enrolled
    assert all((root / path).is_file() for path in table["path"])
    found = read_verification_trials(config(root), table, table.assign(clip_id=table["path"]))
    keys = found.groupby(["subset", "key"]).size()
    assert {part: tuple(keys[part][["target", "nontarget", "spoof"]]) for part in trials} == trials


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there; set ADASPEC_SHARED")
def test_minila_has_the_asv_errors_of_its_readme() -> None:
    scores = read_asv_scores(config(REAL / "minila/LA"))
    found = asv_errors(
        *(scores.loc[scores["key"] == key, "score"].to_numpy() for key in ("target", "nontarget", "spoof"))
    )
    assert round(found.p_fa, 4) == round(found.p_miss, 4) == 0.0133
    assert round(found.p_fa_spoof, 3) == 0.709


def lists(la: Path) -> dict[str, str]:
    """ASV lists by the end of their name: two speakers of dev, one of eval."""
    name = "ASVspoof2019.LA.asv"
    content = {
        "dev.female.trn": "LA_0069 LA_D_A1\n",
        "dev.gi.trl": "LA_0069 LA_D_1 - target\nLA_0069 LA_D_2 A01 spoof\nLA_0070 LA_D_1 bonafide nontarget\n",
        "dev.male.trn": "LA_0070 LA_D_A2,LA_D_A3\n",
        "eval.gi.trl": "".join(f"{line}\n" for line in ASV),
        "eval.male.trn": "LA_0001 LA_E_A1,LA_E_A2\n",
    }
    for end, text in content.items():
        (la / f"ASVspoof2019_LA_asv_protocols/{name}.{end}.txt").write_text(text)
    return content


def flac(la: Path, name: str) -> Path:
    return la / f"ASVspoof2019_LA_{'dev' if '_D_' in name else 'eval'}/flac/{name}.flac"


@pytest.fixture
def enrolled(la: Path) -> Path:
    lists(la)
    for index in range(1, 4):
        soundfile.write(flac(la, f"LA_D_A{index}"), np.random.default_rng([7, index]).uniform(-0.1, 0.1, 800), 16000)
    return la


def verification(la: Path, skip: bool = False) -> list[list[str]]:
    """Trials of speaker verification, with the bare name of the clip."""
    table, choice = read_dataset(config(la)), "skip" if skip else "fail"
    clips, _ = examine_clips(table, la, choice, choice, 1)
    trials = read_verification_trials(config(la), table, clips)
    return trials.assign(clip_id=trials["clip_id"].str.split("/").str[-1]).to_numpy().tolist()


EVAL_TRIALS = [
    ["LA_E_1", "LA_0001", "spoof", "eval"],
    ["LA_E_2", "LA_0001", "target", "eval"],
    ["LA_E_9", "LA_0001", "nontarget", "eval"],
]


def test_verification_trials_are_those_of_the_lists(enrolled: Path) -> None:
    expected = [
        ["LA_D_1", "LA_0069", "target", "dev"],
        ["LA_D_1", "LA_0070", "nontarget", "dev"],
        ["LA_D_2", "LA_0069", "spoof", "dev"],
        *EVAL_TRIALS,
    ]
    assert verification(enrolled) == expected
    joint = enrolled / "ASVspoof2019_LA_asv_protocols/ASVspoof2019.LA.asv.dev.gi.trl.txt"
    *female, male = joint.read_text().splitlines(keepends=True)
    joint.with_name(joint.name.replace("gi", "female")).write_text("".join(female))
    joint.with_name(joint.name.replace("gi", "male")).write_text(male)
    assert verification(enrolled) == expected  # gi holds both
    joint.unlink()
    assert verification(enrolled) == expected


def test_a_target_trial_tells_the_speaker_of_an_unlisted_recording(enrolled: Path) -> None:
    path = enrolled / "ASVspoof2019_LA_asv_protocols/ASVspoof2019.LA.asv.eval.gi.trl.txt"
    path.write_text("LA_0001 LA_E_9 bonafide target\n")
    table = read_dataset(config(enrolled))
    assert table.loc[table["use"] == "verification", ["speaker", "group"]].to_numpy().tolist() == [["LA_0001"] * 2]


@pytest.mark.parametrize(
    ("end", "old", "new", "message"),
    [
        ("dev.male.trn", "LA_D_A3", "LA_D_1", "cm.dev.trl.txt line 1: LA_D_1 enrols a speaker in "),
        ("eval.male.trn", "LA_E_A2", "LA_E_9", "eval.gi.trl.txt line 2: LA_E_9 enrols a speaker in "),
        ("dev.male.trn", "LA_D_A3", "LA_D_A1", "dev.male.trn.txt line 1: LA_D_A1 enrols LA_0070, but in "),
        ("dev.male.trn", "LA_D_A3", "../LA_D_A3", "line 1: file '../LA_D_A3' must be a plain name"),
        ("dev.male.trn", ",", " ", "line 1: 3 columns, an enrolment list has 2 (SPEAKER FILE,FILE,...)"),
        ("dev.male.trn", "LA_0070", "LA_0080", "line 1: speaker 'LA_0080' of dev is in train too ("),
        ("dev.male.trn", "LA_0070", "LA_0071", "gi.trl.txt line 3: the claimed speaker 'LA_0070' has no enrolment"),
        ("eval.male.trn", "LA_0001", "LA_0069", "gi.trl.txt line 1: the claimed speaker 'LA_0001' has no enrolment"),
        ("dev.gi.trl", "nontarget", "impostor", "line 3: key 'impostor' must be target, nontarget or spoof"),
        (
            "dev.gi.trl",
            "LA_D_1 bona",
            "LA_D_1 x bona",
            "line 3: 'LA_0070 LA_D_1 x bonafide nontarget' is not 'SPEAKER ",
        ),
        ("dev.gi.trl", "LA_D_2", "../x", "line 2: file '../x' must be a plain name"),
        ("dev.gi.trl", "LA_0070 LA_D_1", "LA_0069 LA_D_1", "line 3: LA_D_1 against LA_0069 is already in "),
        ("dev.gi.trl", "LA_D_2", "LA_D_9", "line 2: LA_D_9 is a spoofed trial of dev that no countermeasure protocol"),
        ("dev.gi.trl", "LA_D_2 A01", "LA_D_2 A02", "line 2: LA_D_2 has system A02, but A01 in "),
        ("dev.gi.trl", "LA_0069 LA_D_2", "LA_0070 LA_D_2", "line 2: LA_D_2 is a spoof trial of LA_0070, but its spea"),
        (
            "dev.gi.trl",
            "nontarget",
            "target",
            "line 3: LA_D_1 is a target trial of LA_0070, but its speaker is LA_0069",
        ),
        ("dev.gi.trl", "LA_0070 LA_D_1", "LA_0070 LA_E_2", "line 3: LA_E_2 is of dev, but of eval in "),
        (
            "dev.gi.trl",
            "LA_0070 LA_D_1 bonafide nontarget",
            "LA_0070 LA_D_9 - target\nLA_0069 LA_D_9 - target",
            "line 4: LA_D_9 is a target trial of another speaker too",
        ),
    ],
)
def test_lists_that_contradict_each_other_are_refused(
    end: str, old: str, new: str, message: str, enrolled: Path
) -> None:
    path = enrolled / f"ASVspoof2019_LA_asv_protocols/ASVspoof2019.LA.asv.{end}.txt"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError) as caught:
        read_dataset(config(enrolled))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_speaker_of_train_in_eval_is_refused_where_speakers_are_enrolled(enrolled: Path) -> None:
    path = protocol(enrolled)
    path.write_text(path.read_text().replace("LA_0080", "LA_0001"))
    with pytest.raises(
        InputError, match=r"eval\.trl\.txt line 1: speaker 'LA_0001' of eval is in train too \(.*line 3"
    ):
        read_dataset(config(enrolled))


def test_missing_enrolment_is_told_and_its_trials_drop_out(enrolled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flac(enrolled, "LA_D_A1").unlink()
    flac(enrolled, "LA_E_A1").unlink()
    with pytest.raises(InputError, match=r"missing in .* \(2 of them enrol a speaker\), the first .*LA_D_A1\.flac"):
        verification(enrolled)
    # A speaker who keeps a recording stays enrolled.
    assert verification(enrolled, skip=True) == [["LA_D_1", "LA_0070", "nontarget", "dev"], *EVAL_TRIALS]
    told = "warning: left out 2 of 6 verification trials: no enrolment recording is left of 1 speaker ('LA_0069')\n"
    assert told in capsys.readouterr().err
    for path in enrolled.glob("*/flac/LA_?_A?.flac"):
        path.write_bytes(b"")
    assert verification(enrolled, skip=True) == []


def test_missing_clips_take_their_verification_trials_along(enrolled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flac(enrolled, "LA_D_2").unlink()
    flac(enrolled, "LA_E_9").unlink()
    assert [row[0] for row in verification(enrolled, skip=True)] == ["LA_D_1", "LA_D_1", "LA_E_1", "LA_E_2"]
    assert "left out 2 of 6 verification trials, whose clips are\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("copy", "original", "told"),
    [
        (
            "LA_D_A1",
            "LA_D_2",
            "LA_D_2.flac' (trial) and 'ASVspoof2019_LA_dev/flac/LA_D_A1.flac' (enrolment of LA_0069)",
        ),
        (
            "LA_D_A1",
            "LA_D_A2",
            "A1.flac' (enrolment of LA_0069) and 'ASVspoof2019_LA_dev/flac/LA_D_A2.flac' (enrolment",
        ),
        ("LA_E_9", "LA_D_1", "'ASVspoof2019_LA_eval/flac/LA_E_9.flac' (verification)"),
    ],
)
def test_the_same_bytes_in_two_uses_are_refused(copy: str, original: str, told: str, enrolled: Path) -> None:
    flac(enrolled, copy).write_bytes(flac(enrolled, original).read_bytes())
    with pytest.raises(InputError, match="have the same bytes, as have 2 recordings in all") as caught:
        verification(enrolled, skip=True)
    assert told in str(caught.value)


def test_the_same_bytes_may_enrol_one_speaker_twice(enrolled: Path) -> None:
    flac(enrolled, "LA_D_A2").write_bytes(flac(enrolled, "LA_D_A3").read_bytes())
    assert len(verification(enrolled)) == 6
