"""Spectrograms that are computed once for all folds."""

from pathlib import Path

from toydata import Toy, changed, differing

from adaspec.features.store import FeatureStore
from adaspec.training.crossvalidate import cross_validate
from adaspec.training.spectrograms import cache_spectrograms, cached_contract

CACHED = {"frontend.cached": True, "train.epochs": 1}


def test_folds_share_one_store_unless_each_starts_from_a_model_of_its_own(toy: Toy, tmp_path: Path) -> None:
    assert cache_spectrograms(toy.config, toy.labels, [1, 2], toy.features, tmp_path / "none") == {}
    config = changed(toy.config, **CACHED)
    stores = cache_spectrograms(config, toy.labels, [1, 2], toy.features, tmp_path)
    assert stores[1] == stores[2]
    store = FeatureStore(stores[1], cached_contract(config))
    assert len(store) == len(toy.clips)
    assert store.tensor(toy.clips["clip_id"][0]).shape[1] == config.frontend.mel.n_mels


def test_store_is_the_same_whatever_the_number_of_processes_and_made_anew_when_damaged(
    toy: Toy, tmp_path: Path
) -> None:
    for name, n_workers in (("one", 1), ("two", 2)):
        config = changed(toy.config, **CACHED, **{"engine.workers": n_workers})
        cache_spectrograms(config, toy.labels, [1], toy.features, tmp_path / name)
    assert not differing(tmp_path / "one", tmp_path / "two")
    shard = tmp_path / "two/spectrograms/00000.arrow"
    content = shard.read_bytes()
    shard.unlink()  # what is mapped must not change
    shard.write_bytes(content[:-100])
    cache_spectrograms(changed(toy.config, **CACHED), toy.labels, [1], toy.features, tmp_path / "two")
    assert not differing(tmp_path / "one", tmp_path / "two")


def test_what_was_kept_on_the_disk_goes_with_the_training(toy: Toy, tmp_path: Path) -> None:
    class Run:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

        def log_epochs(self, *_: object) -> None: ...

    config = changed(toy.config, **CACHED)
    cross_validate(toy.clips, toy.folds, config, toy.features, tmp_path / "models", tmp_path, lambda _: Run())
    assert (tmp_path / "models/fold-2/model.safetensors").exists()
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".arrow", ".float32", ".ckpt")]
