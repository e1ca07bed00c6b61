"""The repository's own MLflow database: complete or absent, and right about where artifacts lie after a move."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

from adaspec.runtime.files import complete_file

__all__ = ["ARTIFACTS", "create_database", "drop_interrupted", "follow_move", "is_unfinished"]

ARTIFACTS = "mlartifacts"  # folder beside the database
# Where MLflow keeps absolute places, beside those of experiments: table, key and column.
PLACES = (
    ("runs", "run_uuid", "artifact_uri"),
    ("logged_models", "model_id", "artifact_location"),
    ("model_versions", "rowid", "storage_location"),
)

log = logging.getLogger(__name__)


def create_database(path: Path) -> None:
    """Create an MLflow database, under another name until it is whole.

    MLflow takes seconds to create its tables, one by one, and cannot go on where it was killed in between.

    Raises
    ------
    sqlite3.Error
        It exists and cannot be opened, for which MLflow would try for 100 s.
    """
    if path.exists() and path.stat().st_size > 0:
        sqlite3.connect(path).close()
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with complete_file(path) as partial:
        store = SqlAlchemyStore(f"sqlite:///{partial}", str(path.parent / "mlruns"))  # type: ignore[no-untyped-call]
        store.engine.dispose()


def drop_interrupted(path: Path) -> None:
    """Remove a database whose creation was interrupted: it lacks the experiment that MLflow adds at the end."""
    if is_unfinished(path):
        log.info("%s was never completed and holds no run; it is made anew", path)
        path.unlink()


def is_unfinished(path: Path) -> bool:
    """Whether the creation of a database was interrupted.

    Raises
    ------
    sqlite3.Error
        It cannot be read.
    """
    if not path.exists():
        return False
    with contextlib.closing(sqlite3.connect(path)) as database:
        try:
            return int(database.execute("SELECT count(*) FROM experiments").fetchone()[0]) == 0
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
    return True


def follow_move(path: Path) -> None:
    """Have a database that was moved or copied with its repository name artifacts where they are now.

    New runs go to the folder beside the database. Earlier ones are taken to lie there too, unless their artifacts are
    still at the old place alone.
    """
    here = (path.parent / ARTIFACTS).as_uri()
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        moved = _elsewhere(database, "experiments", "experiment_id", "artifact_location", here)
        if not moved:
            return
        for key, place in moved:
            new = f"{here}/{_below(place)}"
            database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, key))
        n_left = 0
        for table, key_column, column in PLACES:
            for key, place in _elsewhere(database, table, key_column, column, here):
                new = f"{here}/{_below(place)}"
                if _path(new).exists() or not _path(place).exists():
                    database.execute(f"UPDATE {table} SET {column} = ? WHERE {key_column} = ?", (new, key))
                else:
                    n_left += 1
    old = moved[0][1].rpartition(f"/{ARTIFACTS}/")[0]
    log.info(
        "note: the repository was moved; MLflow's artifacts are in %s now, no longer in %s", _path(here), _path(old)
    )
    if n_left:
        log.warning(
            "the artifacts of %s earlier runs and models lie still in %s; copy them to %s to keep them",
            n_left,
            _path(old) / ARTIFACTS,
            _path(here),
        )


def _elsewhere(
    database: sqlite3.Connection, table: str, key: str, column: str, here: str
) -> list[tuple[str | int, str]]:
    """Key and place of each row whose artifacts lie in a folder `ARTIFACTS` that is not `here`."""
    query = f"SELECT {key}, {column} FROM {table} WHERE {column} LIKE ? AND substr({column}, 1, ?) != ?"
    return database.execute(query, (f"file:///%/{ARTIFACTS}/%", len(here) + 1, f"{here}/")).fetchall()


def _below(place: str) -> str:
    return place.rpartition(f"/{ARTIFACTS}/")[2]


def _path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))
