from pathlib import Path

import pytest

from adaspec.config import DatasetConfig
from adaspec.datasets import read_dataset
from adaspec.datasets.manifest import read
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
