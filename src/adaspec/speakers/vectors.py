"""Tables of speaker vectors: one of length 1 for each recording. Those of the pipeline, and those made elsewhere."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from adaspec.errors import InputError
from adaspec.runtime.files import complete_file
from adaspec.runtime.text import one_line, shown

__all__ = ["ENROLLED", "VECTORS", "Vectors", "check_file", "read_own", "read_vectors", "write_vectors"]

Vectors = dict[str, npt.NDArray[np.float32]]  # name of a recording or speaker -> (n_dimensions,), of length 1
VECTORS, ENROLLED = "vectors.parquet", "enrolled.parquet"  # of recordings, and of speakers
KNOB = "params.yaml speaker.file"
FORMATS = "a Parquet file with the columns clip_id and vector, or an NPZ file with an array for each clip_id"


def write_vectors(path: Path, vectors: Vectors) -> None:
    """Write `name` and `vector` as Parquet; there must be some."""
    rows = np.stack(list(vectors.values()))
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel(), pa.float32()), rows.shape[1])
    table = pa.table({"name": pa.array(list(vectors), pa.string()), "vector": column})
    with complete_file(path) as partial:
        pq.write_table(table, partial)


def read_vectors(path: Path) -> Vectors:
    """Read what `write_vectors` wrote; empty where it wrote nothing, as no vectors are asked for."""
    if not path.exists():
        return {}
    table = pq.read_table(path)
    column = table["vector"].combine_chunks()
    values = column.values.to_numpy().reshape(len(table), column.type.list_size)
    return dict(zip(table["name"].to_pylist(), values, strict=True))


def read_own(knob: str | None, clips: pd.DataFrame, n_dimensions: int) -> Vectors:
    """Vectors made elsewhere, of all clips.

    Parameters
    ----------
    knob : str
        `speaker.file`: an absolute path, @ and the digest of the file.
    clips : DataFrame
        clips.csv. A clip is found by its `clip_id`, or by the name of its file without suffix.
    n_dimensions : int
        That they must have.

    Raises
    ------
    InputError
        The file is missing, another one by now, or neither Parquet nor NPZ; a clip has no vector, or one of another
        length, without direction or with NaN.
    """
    path = check_file(knob)
    table = _read(path)
    found: Vectors = {}
    taken_by: dict[str, str] = {}
    for clip_id in clips["clip_id"]:
        name = clip_id if clip_id in table else PurePosixPath(clip_id).name
        if name in table and taken_by.setdefault(name, clip_id) != clip_id:
            raise InputError(
                f"{path}: the vector of {shown(name)} would serve both {taken_by[name]} and {clip_id}; name vectors by "
                "clip_id"
            )
        if name not in table:
            raise InputError(
                f"{path} has no vector of {clip_id} among {len(table)}; embed that recording too, under its clip_id or "
                "the name of its file"
            )
        found[clip_id] = _checked(path, name, table[name], n_dimensions)
    return found


def check_file(knob: str | None) -> Path:
    """Path of a file of vectors, once it is that which the digest in the knob names.

    Raises
    ------
    InputError
        There is none, or another one.
    """
    path, _, digest = (knob or "").rpartition("@")
    file = Path(path or knob or "")
    try:
        with open(file, "rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()[:12]
    except OSError as error:
        raise InputError(f"{KNOB}={file} cannot be read ({error.strerror}); it must be {FORMATS}") from None
    if not path:
        raise InputError(
            f"{KNOB}={file} must tell the vectors by their digest, so that others in their place are another training; "
            f"set speaker.file={file}@{found}"
        )
    if digest != found:
        raise InputError(f"{KNOB}={knob}: the file is another one by now; set speaker.file={file}@{found} to use it")
    return file


def _read(path: Path) -> dict[str, npt.NDArray[np.floating]]:
    try:
        if zipfile.is_zipfile(path):
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        table = pq.read_table(path, columns=["clip_id", "vector"])
        names = list(map(str, table["clip_id"].to_pylist()))
        vectors = [np.asarray(vector, dtype=np.float64) for vector in table["vector"].to_pylist()]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise InputError(f"{KNOB}={path} cannot be read ({one_line(error, 100)}); it must be {FORMATS}") from None
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise InputError(f"{KNOB}={path} has {shown(twice[0])} twice; keep one vector of each recording")
    return dict(zip(names, vectors, strict=True))


def _checked(path: Path, name: str, vector: npt.NDArray[np.floating], n_dimensions: int) -> npt.NDArray[np.float32]:
    """A vector brought to length 1."""
    where = f"{path}: the vector of {shown(name)}"
    if vector.ndim != 1 or vector.dtype.kind not in "fiu":
        raise InputError(f"{where} is an array of shape {vector.shape} of {vector.dtype}; numbers (n,) are needed")
    if len(vector) != n_dimensions:
        raise InputError(
            f"{where} has {len(vector)} dimensions, params.yaml speaker.n_dimensions={n_dimensions}; set it to that of "
            "the file, in which all must have the same"
        )
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(length) or length == 0:
        raise InputError(f"{where} has NaN, infinite or only zero values; embed that recording anew")
    return (vector / length).astype(np.float32)
