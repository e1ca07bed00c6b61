from typing import Any, Literal

import pytest
import torch
from toydata import Toy, make_toy

from adaspec.backbones import combined
from adaspec.features.representation import feature_contract
from adaspec.features.store import FeatureStore
from adaspec.features.windows import cut, even_starts
from adaspec.models import scoring
from adaspec.models.classifier import AudioClassifier
from adaspec.models.scoring import score_clips, window_probabilities

KNOBS: dict[str, dict[str, Any]] = {
    "waveforms": {},
    "spectrograms": {"frontend.name": "fbank", "frontend.fixed.fbank.n_mels": 16},
    "ensemble": {"backbone.members": 2},
}


@pytest.fixture(scope="module", params=KNOBS)
def scored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Toy, AudioClassifier]:
    """Clips of two to four windows, and a model with random weights."""
    knobs = {"features.window.length_s": 0.1, "backbone.name": "cnn", **KNOBS[request.param]}
    toy = make_toy(tmp_path_factory.mktemp("toy"), {"high": 3, "low": 3}, **knobs)
    torch.manual_seed(0)
    return toy, AudioClassifier(toy.config, toy.labels).eval()


def open_store(toy: Toy) -> FeatureStore:
    return FeatureStore(toy.features, feature_contract(toy.config))


@pytest.mark.parametrize(("method", "overlap"), [("mean", 0.0), ("mean", 0.5), ("majority", 0.5)])
def test_clips_are_scored_as_their_windows_one_by_one(
    scored: tuple[Toy, AudioClassifier], method: Literal["mean", "majority"], overlap: float
) -> None:
    (toy, model), store = scored, open_store(scored[0])
    kept, clip_ids = store.representation, sorted(toy.clips["clip_id"], reverse=True)
    found = score_clips(model, clip_ids, store, method, overlap)
    n_window = kept.length(model.n_samples)
    for clip_id, row in zip(clip_ids, found, strict=True):
        clip = store.tensor(clip_id)
        windows = [cut(clip, start, n_window, "repeat", kept) for start in even_starts(len(clip), n_window, overlap)]
        assert len(windows) > 1
        with torch.no_grad():
            each = torch.cat([combined(model.logits(window[None], kept)).softmax(dim=1) for window in windows])
        votes = torch.nn.functional.one_hot(each.argmax(dim=1), 2).float()
        expected = each.mean(dim=0) if method == "mean" else votes.mean(dim=0)
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-5 if method == "mean" else 0.01, check_dtype=False)
    torch.testing.assert_close(found.sum(dim=1).float(), torch.ones(len(clip_ids)))


def test_neighbours_in_a_batch_do_not_matter(
    scored: tuple[Toy, AudioClassifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    (toy, model), store = scored, open_store(scored[0])
    clip_ids = list(toy.clips["clip_id"])
    together = score_clips(model, clip_ids, store, "mean", 0.0)
    alone = torch.cat([score_clips(model, [clip_id], store, "mean", 0.0) for clip_id in clip_ids])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-6)
    monkeypatch.setattr(scoring, "BATCH_SIZE", 1)
    torch.testing.assert_close(score_clips(model, clip_ids, store, "mean", 0.0), together, rtol=0, atol=1e-6)


def test_window_probabilities_of_batches_come_in_order(scored: tuple[Toy, AudioClassifier]) -> None:
    (toy, model), store = scored, open_store(scored[0])
    n_window = store.representation.length(model.n_samples)
    windows = torch.stack([store.tensor(clip_id)[:n_window] for clip_id in toy.clips["clip_id"]])
    found = window_probabilities(model, ((part, None) for part in torch.split(windows, 4)), store.representation)
    assert found.shape == (len(windows), 2)
    assert not found.requires_grad
    at_once = window_probabilities(model, [(windows, None)], store.representation)
    torch.testing.assert_close(found, at_once, rtol=0, atol=1e-6)
