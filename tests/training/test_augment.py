import math

import pytest
import torch
from torch import Tensor

from adaspec.config import AugmentConfig
from adaspec.training.augment import gain, mixup, spec_augment, time_shift

OFF = {"gain_db": 0.0, "time_shift": 0.0, "mixup_alpha": 0.0, "freq_mask": 0, "time_mask": 0}


def config(**knobs: float) -> AugmentConfig:
    return AugmentConfig.model_validate(OFF | knobs)


@pytest.fixture(params=["waveform", "features"])
def inputs(request: pytest.FixtureRequest) -> Tensor:
    """64 waveforms of 50 samples, or as many spectrograms of 10 bands and 50 frames; all values differ."""
    shape = (64, 50) if request.param == "waveform" else (64, 1, 10, 50)
    generator = torch.Generator().manual_seed(1)
    return torch.randperm(math.prod(shape), generator=generator).reshape(shape) / math.prod(shape) + 0.1


@pytest.fixture
def targets() -> Tensor:
    return torch.nn.functional.one_hot(torch.arange(64) % 5, 5).float()


def test_augmentation_off_returns_input_unchanged(inputs: Tensor, targets: Tensor) -> None:
    before = inputs.clone()
    off = config()
    assert torch.equal(gain(inputs, off), before)
    assert torch.equal(time_shift(inputs, off), before)
    mixed, mixed_targets = mixup(inputs, targets, off)
    assert torch.equal(mixed, before)
    assert torch.equal(mixed_targets, targets)
    assert torch.equal(spec_augment(inputs.reshape(64, 1, -1, 50), off), before.reshape(64, 1, -1, 50))


@pytest.mark.parametrize("n_db", [1.0, 6.0, 20.0])
def test_gain_on_waveforms_is_one_factor_per_clip_within_bounds(n_db: float) -> None:
    torch.manual_seed(0)
    waveforms = torch.rand(500, 20) + 0.1
    factor = gain(waveforms, config(gain_db=n_db)) / waveforms
    gains_db = 20 * factor.log10()
    torch.testing.assert_close(gains_db, gains_db[:, :1].expand_as(gains_db), atol=1e-4, rtol=0)
    assert gains_db.abs().max() <= n_db + 1e-4
    # Uniform: both ends are reached, the middle is not preferred.
    assert gains_db.min() < -0.9 * n_db
    assert gains_db.max() > 0.9 * n_db
    assert abs(float(gains_db[:, 0].mean())) < 0.15 * n_db


def test_gain_on_features_is_the_summand_equal_to_the_factor_on_waveforms() -> None:
    waveforms = torch.rand(40, 30) + 0.1
    features = torch.randn(40, 1, 8, 9)
    torch.manual_seed(5)
    factor = gain(waveforms, config(gain_db=6.0)) / waveforms
    torch.manual_seed(5)
    summand = gain(features, config(gain_db=6.0)) - features
    # Scaling a waveform by c multiplies its power by c^2, so the natural logarithm of power grows by 2 ln c.
    expected = 2 * factor[:, :1].log().reshape(40, 1, 1, 1).expand_as(features)
    torch.testing.assert_close(summand, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_time_shift_is_a_bounded_rotation(inputs: Tensor, share: float) -> None:
    torch.manual_seed(0)
    shifted = time_shift(inputs, config(time_shift=share))
    largest = int(share * 50)
    shifts = []
    for clip, moved in zip(inputs, shifted, strict=True):
        found = [n for n in range(-largest, largest + 1) if torch.equal(clip.roll(n, dims=-1), moved)]
        assert found, "not a rotation within the bound"
        shifts.append(found[0])
    assert len(set(shifts)) > 2 * largest / 5  # drawn for every clip


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 10.0])
def test_mixup_blends_inputs_and_targets_by_the_same_convex_share(inputs: Tensor, alpha: float) -> None:
    torch.manual_seed(0)
    identity = torch.eye(64)  # a target per clip, so that the blend can be read off
    mixed, blend = mixup(inputs, identity, config(mixup_alpha=alpha))
    assert torch.isfinite(blend).all()
    assert blend.min() >= 0
    torch.testing.assert_close(blend.sum(dim=1), torch.ones(64))
    assert int((blend > 0).sum(dim=1).max()) <= 2
    torch.testing.assert_close(mixed.flatten(1), blend @ inputs.flatten(1), atol=1e-5, rtol=1e-5)


def test_mixup_share_follows_alpha(inputs: Tensor) -> None:
    torch.manual_seed(0)

    def blended(alpha: float) -> float:
        """Mean of 4 share (1 - share): 0 where one clip is left alone, 1 where two are averaged."""
        _, blend = mixup(torch.zeros(2000, 1), torch.eye(2000), config(mixup_alpha=alpha))
        return float((2 * (1 - blend.square().sum(dim=1))).mean())

    # E[4 s (1 - s)] of Beta(a, a) is 2 a / (2 a + 1).
    for alpha in (0.05, 0.2, 1.0, 10.0):
        assert blended(alpha) == pytest.approx(2 * alpha / (2 * alpha + 1), abs=0.04)


def test_mixup_targets_sum_to_one(inputs: Tensor, targets: Tensor) -> None:
    torch.manual_seed(0)
    _, mixed = mixup(inputs, targets, config(mixup_alpha=0.4))
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(64))
    assert not torch.equal(mixed, targets)


@pytest.mark.parametrize(("n_bands", "n_frames"), [(4, 0), (0, 12), (4, 12), (8, 44), (30, 200)])
def test_spec_augment_masks_at_most_the_given_bands_and_frames(n_bands: int, n_frames: int) -> None:
    torch.manual_seed(0)
    spectrogram = torch.randn(200, 1, 10, 50)
    masked = spec_augment(spectrogram, config(freq_mask=n_bands, time_mask=n_frames))
    changed = ~torch.isclose(masked, spectrogram, atol=1e-5, rtol=0)
    bands, frames = changed[:, 0].float().mean(dim=2) > 0.9, changed[:, 0].float().mean(dim=1) > 0.9
    assert masked.shape == spectrogram.shape
    assert changed.any()
    whole = (bands[:, :, None] | frames[:, None, :]).float()
    assert float((changed[:, 0].float() - whole).clamp_min(0).sum()) == 0, "more than whole bands and frames changed"
    for stretches, largest in ((bands, n_bands), (frames, n_frames)):
        if largest < stretches.shape[1]:
            # A clip all of whose other axis is masked looks masked on this one too: there is none below that size.
            assert int(stretches.sum(dim=1).max()) <= largest
            edges = stretches.float().diff(dim=1, prepend=torch.zeros(200, 1)).clamp_min(0).sum(dim=1)
            assert edges.max() <= 1, "one stretch per clip"


def test_spec_augment_masks_with_the_mean_of_the_clip() -> None:
    torch.manual_seed(0)
    spectrogram = torch.randn(50, 1, 10, 50) + 7 * torch.arange(50.0).reshape(-1, 1, 1, 1)
    masked = spec_augment(spectrogram, config(time_mask=20))
    changed = ~torch.isclose(masked, spectrogram, atol=1e-3, rtol=0)
    mean = spectrogram.mean(dim=(1, 2, 3), keepdim=True).expand_as(spectrogram)
    torch.testing.assert_close(masked[changed], mean[changed], atol=1e-3, rtol=1e-4)


def test_spec_augment_masks_the_same_in_all_channels_with_the_mean_of_each() -> None:
    torch.manual_seed(0)
    spectrogram = torch.randn(50, 3, 10, 50) + 7 * torch.arange(3.0).reshape(1, -1, 1, 1)
    masked = spec_augment(spectrogram, config(time_mask=20))
    changed = ~torch.isclose(masked, spectrogram, atol=1e-3, rtol=0)
    frames = changed.float().mean(dim=2) > 0.5  # (batch, channels, n_frames)
    assert frames.any()
    assert torch.equal(frames[:, 0], frames[:, 1])
    assert torch.equal(frames[:, 0], frames[:, 2])
    mean = spectrogram.mean(dim=(2, 3), keepdim=True).expand_as(spectrogram)
    torch.testing.assert_close(masked[changed], mean[changed], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("knob", ["freq_mask", "time_mask"])
def test_spec_augment_leaves_the_rest_bit_identical(knob: str) -> None:
    torch.manual_seed(0)
    spectrogram = torch.randn(50, 1, 10, 50) * 3 + 1
    masked = spec_augment(spectrogram, config(**{knob: 5}))
    along = 3 if knob == "freq_mask" else 2
    touched = (~torch.isclose(masked, spectrogram, atol=1e-4, rtol=0)).any(dim=along, keepdim=True)
    touched = touched.expand_as(spectrogram)  # whole bands, or whole frames
    assert touched.any()
    assert torch.equal(masked[~touched], spectrogram[~touched])


def test_augmentation_is_reproducible_by_the_seed(inputs: Tensor, targets: Tensor) -> None:
    strong = config(gain_db=6.0, time_shift=0.5, mixup_alpha=0.4, freq_mask=5, time_mask=20)

    def augmented(seed: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(seed)
        mixed, mixed_targets = mixup(time_shift(gain(inputs, strong), strong), targets, strong)
        return spec_augment(mixed.reshape(64, 1, -1, 50), strong), mixed_targets

    first, first_targets = augmented(3)
    again, again_targets = augmented(3)
    other, _ = augmented(4)
    assert torch.equal(first, again)
    assert torch.equal(first_targets, again_targets)
    assert not torch.equal(first, other)
