"""ESC-50 and ESC-10 as unpacked from the official archive: `meta/esc50.csv` beside `audio/`.

2,000 five-second environmental recordings in 50 classes and five official folds; ESC-10 is the subset of 400 in 10
classes. A group is a source recording on Freesound (`src_file`), which the official folds never straddle.

References
----------
K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015,
https://doi.org/10.1145/2733373.2806390; archive and licences: https://github.com/karolpiczak/ESC-50
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from adaspec.config import DatasetConfig
from adaspec.datasets.contract import Dataset, Source
from adaspec.datasets.manifest import check_rows, read_table
from adaspec.errors import InputError
from adaspec.runtime.text import shown

__all__ = ["DATASET", "read"]

META = "meta/esc50.csv"


def read(root: Path, config: DatasetConfig) -> pd.DataFrame:
    """List the clips of ESC-50, or of ESC-10 where `dataset.variant` says so."""
    if not (root / META).exists():
        below = sorted(root.glob(f"*/{META}"))
        hint = f"set dataset.root={below[0].parent.parent}" if below else "'adaspec fetch esc50 --to DIR' downloads it"
        raise InputError(f"{root / META} not found, so {root} is not an ESC-50 folder; {hint}")
    columns = ("filename", "fold", "category", "src_file")
    table = read_table(root / META, (*columns, "esc10"), ())
    for row in table.to_dict("records"):
        where = f"{root / META} line {row['line']}"
        empty = [column for column in columns if not row[column]]
        if empty:
            raise InputError(
                f"{where}: {empty[0]} is empty; the official file gives {', '.join(columns)} in every line"
            )
        if Path(row["filename"]).name != row["filename"] or row["filename"] == "..":
            raise InputError(f"{where}: filename={shown(row['filename'])} must be the name of a file in audio/")
    if config.variant == "esc10":
        table = table[table["esc10"] == "True"]
        if table.empty:
            raise InputError(f"{root / META}: no clip has esc10=True; set dataset.variant to null")
    clips = {
        "line": table["line"],
        "path": "audio/" + table["filename"],
        "label": table["category"],
        "group": table["src_file"],
        "fold": table["fold"],
        "subset": "",
    }
    return check_rows(pd.DataFrame(clips), root / META, root)


def _missing(folder: Path) -> list[str]:
    if not (folder / META).exists():
        return [META]
    table = read_table(folder / META, ("filename",), ())
    return [f"audio/{name}" for name in table["filename"] if not (folder / "audio" / name).is_file()]


DATASET = Dataset(
    title="ESC-50",
    licence="CC BY-NC 3.0; the ESC-10 subset CC BY 3.0",
    citation="""@inproceedings{piczak2015esc,
  author = {Karol J. Piczak},
  title = {{ESC}: Dataset for Environmental Sound Classification},
  booktitle = {Proceedings of the 23rd ACM International Conference on Multimedia},
  pages = {1015--1018},
  year = {2015},
  doi = {10.1145/2733373.2806390},
  url = {https://doi.org/10.1145/2733373.2806390}
}""",
    read=read,
    variants=("esc10",),
    source=Source(url="https://github.com/karolpiczak/ESC-50/archive/master.zip", missing=_missing),
)
