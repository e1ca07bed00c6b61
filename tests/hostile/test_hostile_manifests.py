"""Manifests and folders of any content: read, or refused with a line."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bounded import flipped, outcome

from adaspec.config import DatasetConfig
from adaspec.datasets import read_dataset
from adaspec.datasets.clips import examine_clips
from adaspec.errors import InputError
from adaspec.runtime import sources
from adaspec.tables.score_files import read_asv_scores, read_scores
from adaspec.tables.verification_files import read_verification

PLAIN = b"path,label,group,fold,subset\n" + b"".join(
    f"{label}/{index}.wav,{label},{index % 3},{index % 2},{('train', 'eval')[index % 2]}\n".encode()
    for index in range(4)
    for label in ("cat", "dog")
)
HEAD = b"path,label\n"

MANIFESTS: dict[str, bytes] = {
    "empty": b"",
    "blank lines": b"\n" * 100_000,
    "columns": b",".join(b"c%d" % index for index in range(100_000)) + b",path,label\n",
    "columns of one name": b"path,label" + b",x" * 100_000 + b"\n",
    "nameless columns": b"," * 1_000_000,
    "cells": HEAD + b"a.wav,cat" + b"," * 1_000_000,
    "a cell": HEAD + b"a.wav," + b"c" * 1_000_000,
    "a long label": HEAD + b"a.wav," + b"c" * 100_000 + b"\nb.wav,dog\n",
    "a long path": HEAD + b"a" * 5_000 + b".wav,cat\ncat/0.wav,cat\ndog/0.wav,dog\n",
    "a deep path": HEAD + b"a/" * 3_000 + b"a.wav,cat\ncat/0.wav,cat\ndog/0.wav,dog\n",
    "a header without end": b'"' + b"x" * 2_000_000,
    "a quote without end": HEAD + b'"a.wav,cat\n' + b"b.wav,dog\n" * 50_000,
    "quotes": HEAD + b'""""""""",""\n',
    "nul": HEAD + b"a\0.wav,cat\n",
    "only nul": b"\0" * 100_000,
    "utf-16": PLAIN.decode().encode("utf-16"),
    "utf-32": PLAIN.decode().encode("utf-32"),
    "latin-1": HEAD + b"caf\xe9.wav,cat\n",
    "marks of order": b"\xef\xbb\xbf\xef\xbb\xbf" + PLAIN,
    "carriage returns": PLAIN.replace(b"\n", b"\r"),
    "other ends of lines": PLAIN.replace(b"\n", "\u2028".encode()),
    "line separator in a label": HEAD + "a.wav,c\u2028at\nb.wav,dog\n".encode(),
    "escapes": HEAD + b"\x1b]0;x\x07.wav,\x1b[2J\nb.wav,dog\n",
    "direction": HEAD + "\u202egnp.wav,cat\nb.wav,dog\n".encode(),
    "outside": HEAD + b"../../../../etc/passwd,cat\nb.wav,dog\n",
    "absolute": HEAD + b"/etc/passwd,cat\nb.wav,dog\n",
    "outside by a link": HEAD + b"outside/passwd,cat\nb.wav,dog\n",
    "a circle of links": HEAD + b"circle/a.wav,cat\ncat/0.wav,cat\ndog/0.wav,dog\n",
    "a pipe": HEAD + b"pipe.wav,cat\ncat/0.wav,cat\ndog/0.wav,dog\n",
    "a folder": HEAD + b"cat,cat\ncat/0.wav,cat\ndog/0.wav,dog\n",
    "the root": HEAD + b".,cat\ncat/0.wav,cat\ndog/0.wav,dog\n",
    "windows": HEAD + b"C:\\a.wav,cat\n\\\\server\\a.wav,dog\n",
    "rows": HEAD + b"".join(b"%d.wav,%d\n" % (index, index) for index in range(2_000)),
    "the same row": HEAD + b"a.wav,cat\n" * 20_000,
    "labels that look the same": HEAD + "cat/0.wav,é\ncat/1.wav,e\u0301\n".encode(),
    "formulas": HEAD + b"cat/0.wav,\"=cmd|'/c calc'!A0\"\ndog/0.wav,@sum\n",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with a few recordings, a pipe, a circle of links and one that leads outside."""
    folder = tmp_path_factory.mktemp("manifest")
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir()
        for index in range(4):
            soundfile.write(folder / label / f"{index}.wav", rng.uniform(-0.5, 0.5, 200), 8000)
    os.mkfifo(folder / "pipe.wav")
    (folder / "circle").symlink_to("circle")
    (folder / "outside").symlink_to("/etc")
    return folder


def examined(name: str, root: Path) -> object:
    """What `prepare` makes of a data set: the number of clips, or an error."""

    def prepare() -> int:
        config = DatasetConfig(name=name, root=str(root), variant=None, on_bad_clip="skip", on_missing="skip")
        clips, _ = examine_clips(read_dataset(config), root, "skip", "skip", 1)
        assert {"/etc/passwd"}.isdisjoint(os.path.realpath(root / path) for path in clips["path"])
        return len(clips)

    return outcome(prepare)


@pytest.mark.parametrize("kind", MANIFESTS)
def test_strange_manifests_are_read_or_refused(kind: str, root: Path) -> None:
    (root / "manifest.csv").write_bytes(MANIFESTS[kind])
    examined("manifest", root)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_manifests_are_read_or_refused(seed: int, root: Path) -> None:
    (root / "manifest.csv").write_bytes(flipped(PLAIN, np.random.default_rng(seed), 1 + seed % 8))
    examined("manifest", root)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


NO_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": _socket,
    "folder": Path.mkdir,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "nothing": lambda path: path.symlink_to("/dev/null"),
    "circle": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("missing"),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_no_manifest(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    monkeypatch.setattr(sources, "PATIENCE_S", 0.05)
    NO_FILES[kind](Path("manifest.csv"))
    assert isinstance(examined("manifest", tmp_path), InputError)


@pytest.mark.parametrize("seed", range(24))
def test_folders_of_any_names_are_read_or_refused(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.chdir(tmp_path)
    alphabet = [
        b"a",
        b"B",
        b"train",
        b"test",
        b" ",
        b"\xe9",
        "é".encode(),
        b"\n",
        b"\x1b[2J",
        b"-",
        b"..",
        b"\xe2\x80\x8b",
    ]
    alphabet = alphabet[: 4 + seed % 9]  # else nearly all are refused for the same reason
    sound = (root / "cat/0.wav").read_bytes()

    def name() -> str:
        return os.fsdecode(b"".join(alphabet[index] for index in rng.integers(len(alphabet), size=rng.integers(1, 4))))

    for _ in range(3):
        label = Path(name())
        if label.name in ("", "..") or label.exists():
            continue
        label.mkdir()
        for _ in range(3):
            path = label / (name() + str(rng.choice([".wav", ".WAV", ".m4a", "", ".txt", ".mp3"])))
            if path.name.startswith(".") or os.path.lexists(path):
                continue
            if rng.random() < 0.3:
                NO_FILES[str(rng.choice(list(NO_FILES)))](path)
            else:
                path.write_bytes(flipped(sound, rng) if rng.random() < 0.5 else sound)
    examined("folder", tmp_path)


@pytest.mark.parametrize("read", [read_scores, read_asv_scores, read_verification])
def test_what_is_no_file_is_no_table_of_scores(
    read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "PATIENCE_S", 0.05)
    for kind, make in NO_FILES.items():
        make(Path(kind))
        assert isinstance(outcome(lambda path=Path(kind): read(path)), InputError), kind
    for name, content in MANIFESTS.items():
        Path("table").write_bytes(content)
        assert isinstance(outcome(lambda: read(Path("table"))), InputError), name
