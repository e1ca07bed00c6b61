"""GTZAN as its archive or common copies unpack: `genres/GENRE/GENRE.00000.au`, or WAV or MP3 in `genres_original/`.

1,000 excerpts of 30 s in ten genres, at 22.05 kHz. The subsets train, dev and eval are the fault-filtered split, which
leaves out repetitions, mislabelled excerpts and excerpts of artists that occur in two of its parts; clips that are in
none have no subset. File lists: torchaudio. No licence is stated: the excerpts are of commercial recordings.

References
----------
G. Tzanetakis and P. Cook, "Musical genre classification of audio signals", IEEE TSAP 10(5), 2002; B. L. Sturm, "The
GTZAN dataset: Its contents, its faults, their effects on evaluation, and its future use", 2013,
https://arxiv.org/abs/1306.1461; fault-filtered split: C. Kereliuk et al., "Deep Learning and Music Adversaries", IEEE
TMM 17(11), 2015, https://arxiv.org/abs/1507.04761
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from adaspec.config import DatasetConfig
from adaspec.datasets.contract import Dataset
from adaspec.datasets.passed_over import PassedOver
from adaspec.errors import InputError
from adaspec.tables import SUBSETS

__all__ = ["DATASET", "read"]

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
FOLDERS = ("genres", "genres_original")
SUFFIXES = (".au", ".wav", ".mp3")
NAME = re.compile(rf"({'|'.join(GENRES)})\.\d{{5}}")


def read(root: Path, config: DatasetConfig) -> pd.DataFrame:
    """List the excerpts of all genres that are there.

    Parameters
    ----------
    root : Path
        The folder genres or genres_original, or the one it lies in.
    config : DatasetConfig
    """
    folder = _genres_folder(root)
    # Not at the top: torchaudio loads torch, and the other data sets need neither.
    from torchaudio.datasets.gtzan import filtered_test, filtered_train, filtered_valid

    parts = zip(SUBSETS, (filtered_train, filtered_valid, filtered_test), strict=True)
    subset = {name: part for part, names in parts for name in names}
    first: dict[str, Path] = {}
    rows, passed_over = [], PassedOver(folder)
    for path in sorted(path for genre in GENRES for path in (folder / genre).glob("*")):
        if path.name.startswith("."):
            continue
        is_audio = path.suffix.lower() in SUFFIXES
        passed_over.count(path.parent.name, path, read=is_audio)
        if not is_audio:
            continue
        name = path.stem
        if not NAME.fullmatch(name) or not name.startswith(f"{path.parent.name}."):
            raise InputError(f"{path}: expected {path.parent.name}.00000{path.suffix} and so on; remove or rename it")
        if name in first:
            raise InputError(f"{path} and {first[name].name} are the same excerpt; keep one of the two")
        first[name] = path
        rows.append((path.relative_to(root).as_posix(), path.parent.name, subset.get(name, "")))
    passed_over.tell([genre for genre in GENRES if (folder / genre).is_dir()])
    if not rows:
        raise InputError(f"{folder} holds no excerpts; expected files such as {folder}/blues/blues.00000.au")
    return pd.DataFrame(rows, columns=["path", "label", "subset"]).assign(group="", fold="")


def _genres_folder(root: Path) -> Path:
    for folder in (root, *(root / name for name in FOLDERS)):
        if any((folder / genre).is_dir() for genre in GENRES):
            return folder
    below = sorted(path for name in FOLDERS for path in root.glob(f"*/{name}")) if root.is_dir() else []
    hint = f"set dataset.root={below[0].parent}" if below else f"give the folder {' or '.join(FOLDERS)}, or its parent"
    raise InputError(f"{root} holds no folder of a genre (blues, classical, ...), so it is not GTZAN; {hint}")


DATASET = Dataset(
    title="GTZAN genre collection",
    licence="none stated",
    citation="""@article{tzanetakis2002genre,
  author = {George Tzanetakis and Perry Cook},
  title = {Musical Genre Classification of Audio Signals},
  journal = {IEEE Transactions on Speech and Audio Processing},
  volume = {10},
  number = {5},
  pages = {293--302},
  year = {2002},
  doi = {10.1109/TSA.2002.800560},
  url = {https://doi.org/10.1109/TSA.2002.800560}
}
@article{kereliuk2015deep,
  author = {Corey Kereliuk and Bob L. Sturm and Jan Larsen},
  title = {Deep Learning and Music Adversaries},
  journal = {IEEE Transactions on Multimedia},
  volume = {17},
  number = {11},
  pages = {2059--2071},
  year = {2015},
  url = {https://arxiv.org/abs/1507.04761},
  note = {the fault-filtered split}
}""",
    read=read,
)
