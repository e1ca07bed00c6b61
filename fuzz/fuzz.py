"""Fuzz what reads files from outside: python fuzz/fuzz.py TARGET [CORPUS] [options of libFuzzer, such as -runs=1000].

`make fuzz` gives each target a minute. Any content may lead to a value or to one line that says what is wrong; another
exception, a crash or too much time or memory is a finding, whose input libFuzzer keeps (-artifact_prefix).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["adaspec", "yaml", "csv"]):
    from adaspec.audio import BadClipError, decode
    from adaspec.config import DatasetConfig, parse_yaml
    from adaspec.datasets import read_dataset, read_verification_trials
    from adaspec.errors import InputError
    from adaspec.features.store import FeatureStore
    from adaspec.tables.score_files import read_asv_scores, read_scores

import yaml

FOLDER = Path(tempfile.mkdtemp(prefix="adaspec-fuzz-"))
ALLOWED = (BadClipError, InputError, yaml.YAMLError)


def fuzz_decode(content: bytes) -> None:
    """An audio file."""
    decode(content)


def fuzz_store(content: bytes) -> None:
    """A shard of the feature store."""
    (FOLDER / "0.arrow").write_bytes(content)
    store = FeatureStore(FOLDER, {"representation": "waveform"})
    assert len(store) >= 0


def fuzz_manifest(content: bytes) -> None:
    """The manifest of a data set."""
    (FOLDER / "manifest.csv").write_bytes(content)
    root = str(FOLDER)
    config = DatasetConfig(name="manifest", root=root, variant=None, on_bad_clip="fail", on_missing="fail")
    table = read_dataset(config)
    read_verification_trials(config, table, table.assign(clip_id=table["path"]))


def fuzz_scores(content: bytes) -> None:
    """Score files of a detector and of a speaker verification system."""
    path = FOLDER / "scores.txt"
    path.write_bytes(content)
    for read in (read_scores, read_asv_scores):
        try:
            read(path)
        except InputError:
            continue


def fuzz_params(content: bytes) -> None:
    """YAML."""
    parse_yaml(content)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "decode": fuzz_decode,
    "store": fuzz_store,
    "manifest": fuzz_manifest,
    "scores": fuzz_scores,
    "params": fuzz_params,
}


def main() -> None:
    """Run libFuzzer on the target that the command line names."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"usage: python fuzz/fuzz.py {'|'.join(TARGETS)} [CORPUS] [-max_total_time=60]")
    target = TARGETS[sys.argv[1]]

    def one_input(content: bytes) -> None:
        try:
            target(content)
        except ALLOWED:
            return

    atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
