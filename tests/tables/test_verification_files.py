from pathlib import Path

import pandas as pd
import pytest

from adaspec.errors import InputError
from adaspec.tables.verification_files import read_verification

OK = "asv_score,cm_score,sasv_label\n1,5,1.0\n0,5,2\n1,-5,0\n"


def read(tmp_path: Path, text: str) -> pd.DataFrame:
    (tmp_path / "trials.csv").write_text(text)
    return read_verification(tmp_path / "trials.csv")


def test_header_of_the_challenge_is_read_as_it_is(tmp_path: Path) -> None:
    table = read(tmp_path, OK)
    assert table["label"].tolist() == ["target", "nontarget", "spoof"]
    assert table["asv_score"].tolist() == [1, 0, 1]
    assert table["attack"].tolist() == ["-", "-", "unknown"]


def test_attacks_speakers_and_further_columns_may_be_there(tmp_path: Path) -> None:
    text = "\ufefffile,label,score,attack,speaker\na,target,1,-,s1\nb,nontarget,0,bonafide,s1\nc,spoof,2,A07,s2\n\n"
    table = read(tmp_path, text)
    assert table["attack"].tolist() == ["-", "-", "A07"]
    assert table["speaker"].tolist() == ["s1", "s1", "s2"]
    assert table["score"].tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,score\ntarget,1\nimpostor,0\n", "line 3: key 'impostor' must be target, nontarget or spoof"),
        (OK + "1,1,3\n", "line 5: sasv_label '3' must be one of 1 (target), 2 (nontarget), 0 (spoof)"),
        (OK + "nan,1,1\n", "line 5: asv_score 'nan', cm_score '1' must be finite numbers"),
        (OK + "1,1\n", "line 5: 2 cells, the header has 3"),
        ("label,score\ntarget,1\nspoof,0\n", "has no nontarget trial among 2"),
        ("label,score,attack\ntarget,1,A07\n", "line 2: system 'A07' does not go with key 'target'"),
        ("label,asv_score\ntarget,1\n", "has the columns label, asv_score; it needs 'label' and 'score', or"),
        ("score,kind\n1,target\n", "has the columns score, kind; it needs"),
        ("", "has no target trial among 0"),
        ('label,score\n"target,1\n', "is not a UTF-8 CSV file"),
    ],
)
def test_wrong_files_are_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "trials.csv"))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trials\.csv not found"):
        read_verification(tmp_path / "trials.csv")
