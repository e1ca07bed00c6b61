import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaspec.errors import InputError
from adaspec.speakers.vectors import read_own, read_vectors, write_vectors

CLIPS = pd.DataFrame({"clip_id": ["flac/a", "flac/b"]})
OWN = {"flac/a": [3.0, 4.0, 0.0], "b": [0.0, 0.0, -2.0]}


def parquet(path: Path, vectors: dict[str, Any]) -> None:
    pq.write_table(pa.table({"clip_id": list(vectors), "vector": list(vectors.values())}), path)


def npz(path: Path, vectors: dict[str, Any]) -> None:
    with open(path, "wb") as file:
        np.savez(file, **{name: np.asarray(vector) for name, vector in vectors.items()})


WRITERS: dict[str, Callable[[Path, dict[str, Any]], None]] = {"parquet": parquet, "npz": npz}


def knob(path: Path) -> str:
    return f"{path}@{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def test_vectors_come_back_as_they_were_written(tmp_path: Path) -> None:
    vectors = {"flac/é": np.float32([0.6, 0.8]), "b": np.float32([1, 0])}
    for name in ("first", "second"):
        write_vectors(tmp_path / name, vectors)
    found = read_vectors(tmp_path / "first")
    assert list(found) == list(vectors)
    for name, vector in vectors.items():
        np.testing.assert_array_equal(found[name], vector)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert read_vectors(tmp_path / "none") == {}


@pytest.mark.parametrize("form", WRITERS)
def test_own_vectors_are_found_by_clip_id_or_name_and_brought_to_length_one(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"vectors.{form}"
    WRITERS[form](path, OWN | {"not listed": [1.0, 1.0, 1.0]})
    found = read_own(knob(path), CLIPS, 3)
    np.testing.assert_allclose(found["flac/a"], [0.6, 0.8, 0], rtol=1e-6)
    np.testing.assert_allclose(found["flac/b"], [0, 0, -1], rtol=1e-6)
    assert len(found) == 2


FAULTS = {
    "one is missing": ({"flac/a": [1.0, 0, 0]}, "no vector of flac/b"),
    "another dimension": (OWN | {"b": [1.0, 2.0]}, "has 2 dimensions, params.yaml speaker.n_dimensions=3"),
    "NaN": (OWN | {"b": [1.0, float("nan"), 0]}, "NaN, infinite or only zero"),
    "infinite": (OWN | {"b": [1.0, float("inf"), 0]}, "NaN, infinite or only zero"),
    "no direction": (OWN | {"b": [0.0, 0, 0]}, "NaN, infinite or only zero"),
}


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_own_vectors_that_cannot_be_used_are_named_in_a_line(form: str, fault: str, tmp_path: Path) -> None:
    vectors, told = FAULTS[fault]
    path = tmp_path / f"vectors.{form}"
    WRITERS[form](path, vectors)
    with pytest.raises(InputError) as error:
        read_own(knob(path), CLIPS, 3)
    assert told in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_own_vectors_must_be_those_of_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "vectors.parquet"
    parquet(path, OWN)
    named = knob(path)
    with pytest.raises(InputError, match=r"set speaker\.file="):
        read_own(str(path), CLIPS, 3)
    parquet(path, OWN | {"b": [1.0, 0, 0]})
    with pytest.raises(InputError, match=r"another one by now; set speaker\.file="):
        read_own(named, CLIPS, 3)
    with pytest.raises(InputError, match=r"none\.npz cannot be read \(No such file"):
        read_own(str(tmp_path / "none.npz@123"), CLIPS, 3)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x80\x04pickled", b"PAR1" + bytes(40) + b"PAR1"])
def test_files_that_hold_no_vectors_are_refused_unopened_by_pickle(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="must be a Parquet file"):
        read_own(knob(path), CLIPS, 3)
    npz(path, {"flac/a": np.array([{"pickled": 1}], dtype=object)})
    with pytest.raises(InputError, match="must be a Parquet file"):
        read_own(knob(path), CLIPS, 3)


def test_a_name_that_would_serve_two_clips_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npz"
    npz(path, {"001": [1.0, 0, 0]})
    with pytest.raises(
        InputError, match="the vector of '001' would serve both ann/001 and bob/001; name vectors by clip"
    ):
        read_own(knob(path), pd.DataFrame({"clip_id": ["ann/001", "bob/001"]}), 3)
    pq.write_table(pa.table({"clip_id": ["a", "a"], "vector": [[1.0], [2.0]]}), path)
    with pytest.raises(InputError, match="has 'a' twice"):
        read_own(knob(path), CLIPS, 1)
