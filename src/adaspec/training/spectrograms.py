"""Spectrograms that are computed once: of all stored clips, before the folds that share them begin, and of windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from adaspec.config import Config
from adaspec.features.representation import Contract, Decoder, LogSpectrogram, feature_contract
from adaspec.features.store import FeatureStore, read_shard, write_shard
from adaspec.features.windows import EvenWindows
from adaspec.frontends import Frontend
from adaspec.models.classifier import AudioClassifier
from adaspec.models.start import starting_frontend
from adaspec.runtime.engine import run_tasks
from adaspec.runtime.files import complete_folder, is_sealed, naming, seal
from adaspec.runtime.progress import ClipProgress

__all__ = ["WindowsOnDisk", "cache_spectrograms", "cached_contract"]


def cached_contract(config: Config) -> Contract:
    """What a store of `cache_spectrograms` holds."""
    return feature_contract(config) | {"representation": "log_spectrogram"}


def cache_spectrograms(
    config: Config, labels: list[str], folds: Iterable[int], features: Path, folder: Path
) -> dict[int, Path]:
    """Compute what `frontend.cached` asks for, but for what an interrupted attempt has completed.

    Parameters
    ----------
    config : Config
        Resolved.
    labels : list of str
        All classes.
    folds : iterable of int
    features : Path
        Feature store.
    folder : Path
        Gets the stores.

    Returns
    -------
    dict of int to Path
        Fold -> store of its spectrograms: one for all, but where each fold starts from a model of its own. Empty where
        nothing is to be cached.
    """
    if not config.frontend.caches:
        return {}
    stores = {}
    for fold in folds:
        stores[fold] = folder / ("spectrograms" if config.train.start is None else f"spectrograms-{fold}")
        if not is_sealed(stores[fold]):
            _encode_store(features, config, starting_frontend(config, labels, fold), stores[fold])
    return stores


def _encode_store(features: Path, config: Config, frontend: Frontend, folder: Path) -> None:
    store = FeatureStore(features, feature_contract(config))
    contracts = (store.contract, cached_contract(config))
    with complete_folder(folder) as partial, ClipProgress("computing spectrograms", len(store)) as progress:
        tasks = ((shard, partial / shard.name, *contracts, frontend) for shard in store.shards)
        for n_clips in run_tasks(_encode_shard, tasks, config.engine, wanted=config.engine.workers):
            progress.advance(n_clips)
        seal(partial)


def _encode_shard(source: Path, path: Path, stored: Contract, wanted: Contract, frontend: Frontend) -> int:
    """Write one shard; return the number of clips."""
    torch.set_num_threads(1)
    representation = LogSpectrogram(frontend)
    clips = ((clip_id, representation.encode(clip).numpy()) for clip_id, clip in read_shard(source, stored))
    return write_shard(path, wanted, clips)


class WindowsOnDisk:
    """Batches of (clip positions, spectrograms) of windows, computed once, and read when they are due.

    Each comes back as it lay in memory, the order of its axes too: by that its sums are rounded.
    """

    def __init__(self, model: AudioClassifier, windows: EvenWindows, representation: Decoder, file: Path) -> None:
        self.batches: list[tuple[Tensor, torch.Size, tuple[int, ...]]] = []
        with naming(file), file.open("wb") as sink:
            for positions, stored in windows:
                made = model.spectrogram(stored.to(model.device), representation).detach().cpu().clone()
                sink.write(made.permute(sorted(range(made.ndim), key=made.stride, reverse=True)).numpy().tobytes())
                self.batches.append((positions, made.shape, made.stride()))
        n_values = [shape.numel() for _, shape, _ in self.batches]
        mapped = torch.from_file(str(file), size=sum(n_values), dtype=torch.float32)
        file.unlink()  # what is mapped stays as long as it is in use
        self.values = torch.split(mapped, n_values)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for (positions, shape, strides), values in zip(self.batches, self.values, strict=True):
            yield positions, values.clone().as_strided(shape, strides)
