from pathlib import Path

import pytest

from adaspec.config import DatasetConfig
from adaspec.datasets import read_dataset, read_verification_trials
from adaspec.datasets.manifest import read
from adaspec.datasets.verification import MOST_NONTARGETS
from adaspec.errors import InputError


def config(root: Path) -> DatasetConfig:
    return DatasetConfig(name="manifest", root=str(root), variant=None, on_bad_clip="fail", on_missing="fail")


def make(root: Path) -> None:
    """A small data set for the contract."""
    (root / "deep").mkdir(parents=True)
    (root / "manifest.csv").write_text("path,label\nb.wav,dog\ndeep/../a.wav,cat\ndeep/c.wav,cat\n")
    for path in ("b.wav", "a.wav", "deep/c.wav"):
        (root / path).touch()


def refusal(root: Path, content: str | bytes) -> str:
    """What is said about a manifest, after its name."""
    source = root / "manifest.csv"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        read(root, config(root))
    message = str(caught.value)
    assert message.startswith(str(source))
    assert "\n" not in message
    return message.removeprefix(str(source)).strip()


def test_manifest_lists_paths_labels_and_groups(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(
        "speaker,path,label,group,fold,subset\nx,b/2.wav,NA,anna,1,train\ny,a/1.wav,007,,2,eval\n", encoding="utf-8"
    )
    table = read_dataset(config(tmp_path))
    assert table[["path", "label", "group", "fold", "subset"]].to_dict("records") == [
        {"path": "a/1.wav", "label": "007", "group": "a/1.wav", "fold": "2", "subset": "eval"},
        {"path": "b/2.wav", "label": "NA", "group": "anna", "fold": "1", "subset": "train"},
    ]


def test_manifest_needs_no_optional_column(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("label,path\ndog,a.wav\n", encoding="utf-8")
    table = read_dataset(config(tmp_path))
    assert table[["path", "label", "group", "fold", "subset"]].iloc[0].tolist() == ["a.wav", "dog", "a.wav", "", ""]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfpath,label\na.wav,dog\n\xc3\xbc.wav,cat\n",  # with a byte order mark
        b"path,label\r\na.wav,dog\r\n\xc3\xbc.wav,cat\r\n",
        b"path,label\na.wav,dog\n\n\xc3\xbc.wav,cat",  # an empty line, and none at the end
        b" path , label \n a.wav , dog \n\xc3\xbc.wav,cat\n",
        b'"path","label"\n"a.wav","dog"\n"\xc3\xbc.wav","cat"\n',
    ],
)
def test_manifest_reads_what_spreadsheets_write(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.csv").write_bytes(content)
    table = read(tmp_path, config(tmp_path))
    assert table[["path", "label"]].to_numpy().tolist() == [["a.wav", "dog"], ["ü.wav", "cat"]]


def test_manifest_keeps_quoted_commas_and_quotes(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text('path,label\n"a, b.wav","say ""hi"", dog"\n', encoding="utf-8")
    table = read(tmp_path, config(tmp_path))
    assert table[["path", "label"]].to_numpy().tolist() == [["a, b.wav", 'say "hi", dog']]


def test_manifest_accepts_links_inside_the_root(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.wav").write_bytes(b"")
    (tmp_path / "alias").symlink_to("real")
    (tmp_path / "manifest.csv").write_text("path,label\nalias/a.wav,dog\n", encoding="utf-8")
    assert read(tmp_path, config(tmp_path))["path"].tolist() == ["alias/a.wav"]


def test_manifest_accepts_a_root_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "manifest.csv").write_text("path,label\na.wav,dog\n", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert read(tmp_path / "link", config(tmp_path))["path"].tolist() == ["a.wav"]


@pytest.mark.parametrize(
    ("content", "start"),
    [
        ("path,class\na.wav,dog\n", "line 1: column 'label' is missing, got path, class; required: path, label"),
        ("path;label\na.wav;dog\n", "line 1: column 'path' is missing, got path;label"),
        ("", "line 1: column 'path' is missing, got nothing"),
        ("path,label\n", "lists no clips"),
        ("path,label\na.wav,dog\nb.wav,\n", "line 3: path='b.wav' label=''; both must be given"),
        ("path,label\n,dog\n", "line 2: path='' label='dog'; both must be given"),
        ("path,label\na.wav,  \n", "line 2: path='a.wav' label=''; both must be given"),
        ("path,label\na.wav,dog\nb.wav\n", "line 3: 1 cells, the header has 2"),
        ("path,label\na.wav,dog,1\n", "line 2: 3 cells, the header has 2"),
        ("path,label\na.wav,dog\nb.wav,cat\na.wav,cat\n", "line 4: path='a.wav' is already in line 2"),
        ("path,label\na.wav,dog\n./a.wav,dog\n", "line 3: path='./a.wav' is already in line 2"),
        ("path,label\na.wav,dog\nb//c.wav,dog\nb/c.wav,dog\n", "line 4: path='b/c.wav' is already in line 3"),
        ("path,label\na.wav,dog\nb/../a.wav,dog\n", "line 3: path='b/../a.wav' is already in line 2"),
        ("path,label\n../a.wav,dog\n", "line 2: path='../a.wav' leaves "),
        ("path,label\nb/../../a.wav,dog\n", "line 2: path='b/../../a.wav' leaves "),
        ("path,label\n/a.wav,dog\n", "line 2: path='/a.wav' leaves "),
        ("path,label,fold\na.wav,dog,1\nb.wav,cat,\n", "line 3: fold is empty, but other lines give one"),
        ("path,label,subset\na.wav,dog,train\nb.wav,cat,\n", "line 3: subset is empty, but other lines give one"),
        ("path,label,subset\na.wav,dog,test\n", "line 2: subset='test' must be one of train, dev, eval"),
        ("path,label\na\0.wav,dog\n", ""),
        (b"path,label\na.wav,\xe9t\xe9\n", "is not a UTF-8 CSV file ("),
        ("path,label\na.wav,dog\n".encode("utf-16"), "is not a UTF-8 CSV file ("),
        (b'path,label\n"a.wav,dog\n', "is not a UTF-8 CSV file ("),
    ],
)
def test_manifest_names_the_line_at_fault(tmp_path: Path, content: str | bytes, start: str) -> None:
    assert refusal(tmp_path, content).startswith(start)


def test_manifest_counts_lines_as_an_editor_does(tmp_path: Path) -> None:
    content = 'path,label\r\n\r\n"a.wav","two\nlines"\r\nb.wav,\r\n'
    assert refusal(tmp_path, content).startswith("line 5: ")


def test_manifest_refuses_a_link_that_leaves_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.wav").write_bytes(b"")
    (root / "a.wav").symlink_to(tmp_path / "outside.wav")
    assert refusal(root, "path,label\na.wav,dog\n").startswith(f"line 2: path='a.wav' leaves {root}")


def test_manifest_refuses_a_neighbour_whose_name_starts_alike(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    assert "leaves" in refusal(root, "path,label\n../root2/a.wav,dog\n")


def test_manifest_refuses_a_column_given_twice(tmp_path: Path) -> None:
    assert "label" in refusal(tmp_path, "path,label,label\na.wav,dog,cat\n")


@pytest.mark.parametrize("root", ["", "missing"])
def test_manifest_that_is_missing_is_named(tmp_path: Path, root: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / root, config(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path / root / 'manifest.csv'} not found")


def test_manifest_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").mkdir()
    with pytest.raises(InputError) as caught:
        read(tmp_path, config(tmp_path))
    assert str(tmp_path / "manifest.csv") in str(caught.value)


# Two speakers are enrolled in dev, one in eval; cy speaks in dev without being enrolled.
SPEAKERS = """path,label,speaker,enrolment,attack,subset
t1.wav,bonafide,tom,no,,train
t2.wav,spoof,tom,,vocoder,train
d1.wav,bonafide,ann,no,,dev
d2.wav,spoof,ben,0,vocoder,dev
d3.wav,bonafide,cy,,-,dev
da.wav,bonafide,ann,Yes,,dev
db.wav,bonafide,ben,TRUE,,dev
e1.wav,bonafide,eve,false,,eval
e2.wav,spoof,eve,no,,eval
ee.wav,bonafide,eve,1,,eval
"""


def trials(root: Path) -> list[list[str]]:
    table = read_dataset(config(root))
    return read_verification_trials(config(root), table, table.assign(clip_id=table["path"])).to_numpy().tolist()


def test_manifest_enrols_speakers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifest.csv").write_text(SPEAKERS)
    table = read_dataset(config(tmp_path)).set_index("path")
    assert list(table)[-3:] == ["speaker", "attack", "use"]
    assert table.index[table["use"] == "enrolment"].tolist() == ["da.wav", "db.wav", "ee.wav"]
    assert set(table["use"]) == {"trial", "enrolment"}
    assert table["group"].equals(table["speaker"].rename("group"))  # no speaker straddles folds
    assert table.loc[["t2.wav", "d3.wav", "e2.wav"], "attack"].tolist() == ["vocoder", "-", "unknown"]
    assert trials(tmp_path) == [
        ["d1.wav", "ann", "target", "dev"],
        ["d1.wav", "ben", "nontarget", "dev"],
        ["d2.wav", "ben", "spoof", "dev"],
        ["d3.wav", "ann", "nontarget", "dev"],
        ["d3.wav", "ben", "nontarget", "dev"],
        ["e1.wav", "eve", "target", "eval"],
        ["e2.wav", "eve", "spoof", "eval"],
    ]
    told = "warning: 1 speaker ('cy') in dev without enrolment: 1 bona fide clips are nontarget trials only\n"
    assert told in capsys.readouterr().err


def test_manifest_keeps_its_groups_where_it_names_them(tmp_path: Path) -> None:
    lines = SPEAKERS.splitlines()
    text = "\n".join([f"group,{lines[0]}", f"studio,{lines[1]}", *(f",{line}" for line in lines[2:])])
    (tmp_path / "manifest.csv").write_text(text)
    assert read_dataset(config(tmp_path)).set_index("path").loc[["t1.wav", "t2.wav"], "group"].tolist() == [
        "studio",
        "tom",
    ]


def test_manifest_without_parts_enrols_speakers_too(tmp_path: Path) -> None:
    content = "path,label,speaker,enrolment\na.wav,bonafide,ann,yes\nb.wav,bonafide,ann,no\nc.wav,spoof,ann,no\n"
    (tmp_path / "manifest.csv").write_text(content)
    assert trials(tmp_path) == [["b.wav", "ann", "target", ""], ["c.wav", "ann", "spoof", ""]]


def test_manifest_without_enrolment_has_attacks_alone(tmp_path: Path) -> None:
    columns = ["path", "label", "group", "fold", "subset"]
    for content, attack in (
        ("path,label,speaker,enrolment,attack\na.wav,bonafide,x,no,\nb.wav,spoof,y,no,A1\n", ["attack"]),
        ("path,label,speaker,enrolment,attack\na.wav,dog,x,no,A1\nb.wav,cat,y,no,\n", []),
        ("path,label,speaker,attack\na.wav,bonafide,x,\nb.wav,spoof,y,\n", []),
    ):
        (tmp_path / "manifest.csv").write_text(content)
        table = read_dataset(config(tmp_path))
        assert list(table) == [*columns, *attack]
        assert table["group"].equals(table["path"].rename("group"))
        assert trials(tmp_path) == []


def test_nontarget_trials_are_bounded_and_spread(tmp_path: Path) -> None:
    names = [f"s{index:02d}" for index in range(40)]
    rows = [f"{kind}{name}.wav,bonafide,{name},{kind}" for name in names for kind in ("yes", "no")]
    (tmp_path / "manifest.csv").write_text("path,label,speaker,enrolment\n" + "\n".join(rows))
    found = trials(tmp_path)
    assert len(found) == len(names) * (1 + MOST_NONTARGETS)
    per_speaker = [sum(speaker == name and key == "nontarget" for _, speaker, key, _ in found) for name in names]
    assert min(per_speaker) > 0
    (tmp_path / "manifest.csv").write_text("path,label,speaker,enrolment\n" + "\n".join(reversed(rows)))
    assert trials(tmp_path) == found


@pytest.mark.parametrize(
    ("old", "new", "start"),
    [
        ("ann,Yes", "ann,maybe", "line 7: enrolment='maybe' must be yes, true or 1, or no, false, 0 or empty"),
        ("d2.wav,spoof", "d2.wav,fake", "line 5: label='fake', but where speakers are enrolled it must be bonafide or"),
        ("bonafide,cy", "bonafide,", "line 6: speaker is empty; where speakers are enrolled, every line"),
        ("da.wav,bonafide", "da.wav,spoof", "line 7: label='spoof' cannot enrol speaker 'ann'; enrol by bona fide"),
        (
            "ann,Yes,,dev",
            "ann,Yes,,train",
            "line 7: speaker 'ann' is enrolled in train; enrol speakers of dev and eval",
        ),
        ("bonafide,cy", "bonafide,tom", "line 6: speaker 'tom' of dev is in train too ("),
        (
            "spoof,ben",
            "spoof,cy",
            "line 5: the claimed speaker 'cy' has no enrolment recording in dev, and so 1 speaker",
        ),
        ("eve,1", "eve,0", "line 10: the claimed speaker 'eve' has no enrolment recording in eval"),
        ("bonafide,cy,,-", "bonafide,cy,,A1", "line 6: system 'A1' does not go with key 'bonafide'"),
        ("d1.wav", "da.wav", "line 7: path='da.wav' is already in line 4; keep one of the two"),  # enrolment and trial
    ],
)
def test_manifest_names_the_line_at_fault_of_enrolment(tmp_path: Path, old: str, new: str, start: str) -> None:
    assert SPEAKERS.count(old) == 1
    assert refusal(tmp_path, SPEAKERS.replace(old, new)).startswith(start)
