"""Changed copies of training clips: how they are made, drawn, and made to agree with."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.spatial.distance
import torch
from pydantic import ValidationError
from toydata import Fit, Toy, changed, small_config

from adaspec.features.representation import Waveform
from adaspec.training.augment.copies import Copies, changed_copies, copy_name
from adaspec.training.batches import train_batches
from adaspec.training.consistency import disagreement

COPIED = {"augment.attributes.names": ("white_noise", "speed"), "augment.attributes.copies": 2}
N_CLIPS, N_COPIES, RATE = 40, 3, 8000


class Kept(dict[str, torch.Tensor]):
    """Waveforms in memory."""

    representation = Waveform()
    tensor = dict.__getitem__


def clips() -> Kept:
    rng = np.random.default_rng(1)
    noise = (3000 * rng.standard_normal((6, 4000))).astype(np.int16)
    return Kept({f"c{number}": torch.from_numpy(samples) for number, samples in enumerate(noise)})


def test_copies_are_those_of_their_seed_and_fold() -> None:
    first, again, other = (
        dict(changed_copies(clips(), clips(), ["white_noise", "low_pass"], 2, RATE, None, keys))
        for keys in ((1, 1), (1, 1), (1, 2))
    )
    assert list(first) == [copy_name(clip_id, number) for clip_id in clips() for number in range(2)]
    assert list(first) == sorted(first)
    for name, copy in first.items():
        assert copy.dtype == torch.int16
        assert torch.equal(copy, again[name])
        assert not torch.equal(copy, other[name])
        assert not torch.equal(copy, clips()[name.partition("\0")[0]])


def drawn(share: float, *, paired: bool = False, epoch: int = 0) -> torch.Tensor:
    """First samples of a batch of all clips; copy v of clip k holds 10 k + v throughout."""
    kept, copied = Kept(), Kept()
    for k in range(N_CLIPS):
        kept[f"c{k:02d}"] = torch.full((100,), 10 * k, dtype=torch.int16)
        for version in range(1, 1 + N_COPIES):
            copied[copy_name(f"c{k:02d}", version - 1)] = torch.full((100,), 10 * k + version, dtype=torch.int16)
    train = pd.DataFrame({"clip_id": list(kept), "label": "x", "weight": 1})
    settings = (["x"], 20, "repeat", N_CLIPS, (1, 1))
    loader = train_batches(kept, train, *settings, copies=Copies(copied, N_COPIES, share), paired=paired)
    loader.sampler.set_epoch(epoch)
    [(windows, targets, _)] = loader
    assert len(windows) == len(targets) == N_CLIPS * (1 + paired)
    return windows[:, 0]


def test_share_of_windows_is_of_copies() -> None:
    versions = torch.cat([drawn(0.4, epoch=epoch) for epoch in range(40)]) % 10
    counts = torch.bincount(versions.long(), minlength=1 + N_COPIES) / len(versions)
    assert counts[0] == pytest.approx(0.6, abs=0.05)
    torch.testing.assert_close(counts[1:], torch.full((N_COPIES,), 0.4 / 3), atol=0.04, rtol=0)
    assert set((drawn(1.0) % 10).tolist()) == {1, 2, 3}


def test_partner_of_a_copy_is_the_clip_and_of_the_clip_a_copy() -> None:
    first, partners = drawn(0.5, paired=True).chunk(2)
    assert torch.equal(first // 10, partners // 10)
    assert torch.equal(first % 10 == 0, partners % 10 != 0)
    assert set((partners % 10).tolist()) == {0, 1, 2, 3}


def test_disagreement_is_the_jensen_shannon_divergence() -> None:
    logits = 3 * torch.randn(2, 8, 5, generator=torch.Generator().manual_seed(0))
    p, q = logits.softmax(-1).chunk(2, dim=1)
    expected = scipy.spatial.distance.jensenshannon(p.numpy(), q.numpy(), axis=-1) ** 2
    assert float(disagreement(logits)) == pytest.approx(expected.mean(), rel=1e-5)
    assert float(disagreement(logits[:, :4].repeat(1, 2, 1))) == pytest.approx(0, abs=1e-7)
    sure = torch.tensor([[[200.0, -200.0], [-200.0, 200.0]]]).requires_grad_()
    most = disagreement(sure)
    most.backward()
    assert most.item() == pytest.approx(np.log(2))
    assert sure.grad is not None
    assert sure.grad.isfinite().all()


@pytest.mark.parametrize("cached", [False, True])
def test_training_on_copies_gives_the_same_bytes_twice_and_others_than_without(
    toy: Toy, fit: Fit, cached: bool
) -> None:
    config = changed(toy.config, **{"train.epochs": 1, "frontend.cached": cached, "augment.mix.name": "none"})
    paired = changed(config, **COPIED, **{"augment.attributes.consistency": 1.0})
    weights = [fit(each)[0] for each in (config, changed(config, **COPIED), changed(config, **COPIED), paired)]
    assert weights[1] == weights[2]
    assert len({*weights}) == 3


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"augment.attributes.names": ("mp3",), "frontend.name": "fbank"}, "keeps spectrograms alone"),
        (COPIED | {"augment.attributes.consistency": 1.0}, "augment.mix.name puts others in their places"),
        ({"augment.attributes.consistency": 1.0, "augment.mix.name": "none"}, "name some attributes"),
        ({"robustness.attributes": ("all", "mp3")}, "give [all] alone"),
        ({"robustness.attributes": ("mp3", "mp3")}, "names something twice"),
        ({"robustness.gradient.snr_db": (20.0,), "frontend.name": "fbank"}, "keeps spectrograms alone"),
    ],
)
def test_what_does_not_go_together_is_refused(knobs: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        small_config(Path("raw"), **knobs)
    assert told in str(refusal.value)
