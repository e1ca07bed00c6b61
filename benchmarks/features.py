"""Cost of feature extraction over mere decoding and resampling, same files, same workers.

    python benchmarks/features.py [FOLDER] [--workers N] [--repeats N] [--record NAME]

FOLDER holds audio files anywhere below it; the default is esc10 of $ADASPEC_SHARED (or ../shared). Both jobs run in
turn; the figure is the median of the ratios. Peak memory is that of the largest worker process, for the files once and
three times over: it should not grow.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import record
import soundfile
import soxr
from joblib.externals.loky import get_reusable_executor

from adaspec.audio import AUDIO_SUFFIXES, clip_digest
from adaspec.config import Config, load_config
from adaspec.features.extract import extract
from adaspec.runtime.engine import n_cores, run_tasks

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("ADASPEC_SHARED", ROOT.parent / "shared"))


def decode_only(paths: list[Path], sample_rate: int) -> int:
    for path in paths:
        waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
        soxr.resample(waveform.mean(axis=1), rate, sample_rate)
    return len(paths)


def list_clips(folder: Path) -> pd.DataFrame:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    if not paths:
        sys.exit(f"no audio files below {folder}; give a folder of recordings")
    relative = [path.relative_to(folder).as_posix() for path in paths]
    digests = [clip_digest(path.read_bytes()) for path in paths]
    return pd.DataFrame({"clip_id": relative, "path": relative, "digest": digests})


def configure(folder: Path, frontend: str, workers: int) -> Config:
    config = load_config(ROOT / "params.yaml")
    return config.model_copy(
        update={
            "dataset": config.dataset.model_copy(update={"root": str(folder)}),
            "engine": config.engine.model_copy(update={"workers": workers}),
            "frontend": config.frontend.model_copy(update={"name": frontend}),
        }
    )


def seconds_of(job: object) -> float:
    started = time.perf_counter()
    job()  # type: ignore[operator]
    return time.perf_counter() - started


def largest_worker_mib(clips: pd.DataFrame, config: Config) -> float:
    """Peak memory of a worker of this process, whose workers have ended."""
    with tempfile.TemporaryDirectory() as folder:
        extract(clips, config, Path(folder) / "features")
    get_reusable_executor().shutdown(wait=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def measured_apart(clips: pd.DataFrame, config: Config) -> float:
    """`largest_worker_mib` in a fresh process, so that earlier workers do not count."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(largest_worker_mib, clips, config).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SHARED / "data/esc10/audio")
    parser.add_argument("--workers", type=int, default=n_cores())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    arguments = parser.parse_args()
    clips = list_clips(arguments.folder)
    workers = arguments.workers
    waveforms = configure(arguments.folder, "stft", workers)
    rate = waveforms.audio.sample_rate
    assert rate is not None
    size = waveforms.features.clips_per_shard
    paths = [arguments.folder / path for path in clips["path"]]
    chunks = [paths[start : start + size] for start in range(0, len(paths), size)]

    def decode_all() -> None:
        list(run_tasks(decode_only, ((chunk, rate) for chunk in chunks), wanted=workers))

    def extract_all() -> None:
        with tempfile.TemporaryDirectory() as folder:
            extract(clips, waveforms, Path(folder) / "features")

    decode_all()  # starts the workers and fills the page cache
    extract_all()
    pairs = [(seconds_of(decode_all), seconds_of(extract_all)) for _ in range(arguments.repeats)]
    decoding, extracting = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(extraction / decode for decode, extraction in pairs)
    print(f"{len(clips)} clips to {rate} Hz, {workers} workers, median of {arguments.repeats}")
    print(f"decode and resample   {decoding:6.2f} s   {len(clips) / decoding:6.0f} clips/s")
    print(f"extract waveforms     {extracting:6.2f} s   {len(clips) / extracting:6.0f} clips/s   ratio {ratio:.2f}")

    thrice = pd.concat(
        [clips.assign(clip_id=[f"{clip_id}-{turn}" for clip_id in clips["clip_id"]]) for turn in range(3)]
    )
    once_mib, thrice_mib = (measured_apart(table, waveforms) for table in (clips, thrice))
    print(f"peak memory of a worker: {once_mib:.0f} MiB, with three times the clips {thrice_mib:.0f} MiB")
    if arguments.record:
        measured = {
            "n_clips": len(clips),
            "sample_rate": rate,
            "workers": workers,
            "repeats": arguments.repeats,
            "decode_clips_per_s": len(clips) / decoding,
            "extract_clips_per_s": len(clips) / extracting,
            "ratio": ratio,
            "worker_peak_mib": once_mib,
            "worker_peak_mib_thrice_the_clips": thrice_mib,
        }
        record.write(arguments.record, measured)


if __name__ == "__main__":
    main()
