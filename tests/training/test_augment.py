import math
from typing import Any

import pytest
import torch
from torch import Tensor

from adaspec.config import AugmentConfig
from adaspec.frontends import AdaptiveSTFT, Fbank
from adaspec.training.augment import augment_compressed, augment_inputs, augment_spectrograms, longest_window
from adaspec.training.augment.sounds import SpectrogramSound, sound_of

OFF = AugmentConfig.off()
HOP = 64
STFT = AdaptiveSTFT(sample_rate=8000, n_fft=128, hop_length=HOP, n_mels=16, window="hann", center=False)
MAGNITUDE = AdaptiveSTFT(sample_rate=8000, n_fft=128, hop_length=HOP, n_mels=16, power=1, center=False)
THREE = AdaptiveSTFT(sample_rate=8000, n_fft=128, hop_length=HOP, n_mels=16, n_transforms=3, window_ratio=0.5)
FBANK = Fbank(sample_rate=8000, frame_length_ms=25.0, frame_shift_ms=10.0, n_mels=20)
FRONTENDS = {"power": STFT, "magnitude": MAGNITUDE, "three": THREE, "fbank": FBANK}
KINDS = ["waveform", *FRONTENDS]


def config(**knobs: Any) -> AugmentConfig:
    """No change but by these knobs; those of sub-sections are written as mix__name."""
    content = OFF.model_dump() | {"enabled": True}
    for name, value in knobs.items():
        section, _, key = name.rpartition("__")
        (content[section] if section else content)[key] = value
    return AugmentConfig.model_validate(content)


def noise(n_clips: int, n_samples: int = 2000, seed: int = 1) -> Tensor:
    return 0.1 * torch.randn(n_clips, n_samples, generator=torch.Generator().manual_seed(seed))


def inputs_of(kind: str, waveform: Tensor) -> Tensor:
    return waveform if kind == "waveform" else FRONTENDS[kind].spectrogram(waveform)


def augmented(
    kind: str, inputs: Tensor, targets: Tensor | None = None, seed: int = 0, **knobs: Any
) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    targets = torch.eye(len(inputs)) if targets is None else targets
    sound = sound_of("waveform" if kind == "waveform" else "spectrogram", FRONTENDS.get(kind, STFT))
    return augment_inputs(inputs, targets, sound, config(**knobs))


def change_spectrograms(spectrogram: Tensor, n_frames: int, config_: AugmentConfig) -> Tensor:
    return augment_spectrograms(spectrogram, n_frames, SpectrogramSound(STFT), config_)


def exponent(kind: str) -> int:
    """Of the sound's amplitude in what the batch holds."""
    return 1 if kind in ("waveform", "magnitude") else 2


@pytest.mark.parametrize("kind", KINDS)
def test_augmentation_off_returns_the_batch_unchanged(kind: str) -> None:
    inputs = inputs_of(kind, noise(6))
    before = inputs.clone()
    found, targets = augmented(kind, inputs)
    assert torch.equal(found, before)
    assert torch.equal(targets, torch.eye(6))
    if kind != "waveform":
        assert torch.equal(change_spectrograms(inputs, inputs.shape[3], config()), before)
        assert torch.equal(augment_compressed(inputs, config()), before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_db", [1.0, 6.0, 20.0])
def test_gain_is_one_factor_of_the_sound_per_clip_within_bounds(kind: str, n_db: float) -> None:
    inputs = inputs_of(kind, noise(300, 400)) + 1e-3
    ratio = (augmented(kind, inputs, gain_db=n_db)[0] / inputs).flatten(1)
    gains_db = 20 / exponent(kind) * ratio.log10()
    torch.testing.assert_close(gains_db, gains_db[:, :1].expand_as(gains_db), atol=2e-3, rtol=0)
    assert gains_db.abs().max() <= n_db + 2e-3
    # Uniform: both ends are reached, the middle is not preferred.
    assert gains_db.min() < -0.9 * n_db
    assert gains_db.max() > 0.9 * n_db
    assert abs(float(gains_db[:, 0].mean())) < 0.15 * n_db


@pytest.mark.parametrize("kind", FRONTENDS)
def test_gain_on_spectrograms_is_that_on_the_waveform(kind: str) -> None:
    waveform = noise(5)
    louder, _ = augmented("waveform", waveform, gain_db=12.0)
    expected = FRONTENDS[kind].spectrogram(louder)
    torch.testing.assert_close(
        augmented(kind, inputs_of(kind, waveform), gain_db=12.0)[0], expected, rtol=1e-3, atol=1e-6
    )


def test_polarity_turns_half_of_the_waveforms_upside_down() -> None:
    inputs = noise(400, 20)
    sign = augmented("waveform", inputs, polarity=True)[0] / inputs
    assert torch.equal(sign.abs(), torch.ones_like(sign))
    assert torch.equal(sign, sign[:, :1].expand_as(sign))
    assert 0.4 < float((sign[:, 0] < 0).float().mean()) < 0.6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_delay_begins_with_silence_and_goes_on_with_the_clip(kind: str, share: float) -> None:
    inputs = inputs_of(kind, noise(60, 3000)) + 1e-3
    delayed, _ = augmented(kind, inputs, delay=share)
    n_times = inputs.shape[-1]
    late = []
    for clip, found in zip(inputs, delayed, strict=True):
        silent = int((found.reshape(-1, n_times).abs().amax(dim=0) == 0).sum())
        assert torch.equal(found[..., silent:], clip[..., : n_times - silent])
        late.append(silent)
    assert max(late) <= share * n_times
    assert max(late) > 0.8 * share * n_times - 1
    assert len(set(late)) > min(20, 0.5 * share * n_times)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_time_shift_is_a_bounded_rotation(kind: str, share: float) -> None:
    inputs = inputs_of(kind, noise(40, 1500))
    shifted, _ = augmented(kind, inputs, time_shift=share)
    n_times = inputs.shape[-1]
    largest = int(share * n_times)
    shifts = []
    for clip, moved in zip(inputs, shifted, strict=True):
        found = [n for n in range(-largest, largest + 1) if torch.equal(clip.roll(n, dims=-1), moved)]
        assert found, "not a rotation within the bound"
        shifts.append(found[0])
    assert len(set(shifts)) > min(20, largest / 2)


@pytest.mark.parametrize("kind", ["power", "magnitude"])
@pytest.mark.parametrize("knob", ["delay", "time_shift"])
def test_moving_frames_is_moving_the_waveform_by_whole_hops(kind: str, knob: str) -> None:
    waveform = noise(20, 50 * HOP)
    spectrogram = inputs_of(kind, waveform)
    moved, _ = augmented(kind, spectrogram, **{knob: 0.5})
    n_moved = set()
    for clip, before, after in zip(waveform, spectrogram, moved, strict=True):
        if knob == "delay":
            n = int((after.amax(dim=(0, 1)) == 0).sum())
            expected = torch.cat([torch.zeros(n * HOP), clip])[: len(clip)]
        else:
            n = next(n for n in range(-25, 26) if torch.equal(before.roll(n, dims=2), after))
            expected = clip.roll(n * HOP)
        whole = slice(n, None) if n >= 0 else slice(None, n)  # frames on this side of the place where the clip wraps
        torch.testing.assert_close(after[..., whole], FRONTENDS[kind].spectrogram(expected[None])[0][..., whole])
        n_moved.add(n)
    assert len(n_moved) > 8


@pytest.mark.parametrize("kind", FRONTENDS)
def test_delay_takes_as_much_of_the_spectrogram_as_of_the_waveform(kind: str) -> None:
    waveform = noise(40, 8000) + 1e-3
    by_kind = {}
    for each in ("waveform", kind):
        delayed = augmented(each, inputs_of(each, waveform), delay=0.6)[0]
        silent = delayed.reshape(40, -1, delayed.shape[-1]).abs().amax(dim=1) == 0
        by_kind[each] = silent.float().mean(dim=1)
    torch.testing.assert_close(by_kind[kind], by_kind["waveform"], atol=0.02, rtol=0)


def powers(kind: str, inputs: Tensor) -> Tensor:
    return inputs.abs() ** (2 / exponent(kind))


def rms(kind: str, inputs: Tensor) -> Tensor:
    return powers(kind, inputs).flatten(1).mean(dim=1).sqrt()


def added_power(kind: str, before: Tensor, after: Tensor) -> Tensor:
    """Of the sound that came in: powers of independent sounds add up, their magnitudes do not."""
    return (after - before).square() if kind == "waveform" else powers(kind, after) - powers(kind, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
def test_noise_has_the_wanted_distance_to_the_clip(kind: str, snr_db: float) -> None:
    inputs = inputs_of(kind, noise(30, 8000) * torch.logspace(-2, 1, 30)[:, None])
    added = added_power(kind, inputs, augmented(kind, inputs, noise__snr_db=(snr_db, snr_db))[0])
    found_db = 20 * rms(kind, inputs).log10() - 10 * added.flatten(1).mean(dim=1).log10()
    torch.testing.assert_close(found_db, torch.full((30,), snr_db), atol=0.5, rtol=0)


@pytest.mark.parametrize("kind", FRONTENDS)
def test_noise_on_spectrograms_is_white_as_on_waveforms(kind: str) -> None:
    silent_but_loud = torch.zeros(16, 8000)
    silent_but_loud[:, ::4000] = 5.0
    inputs = inputs_of(kind, silent_but_loud)
    bands = added_power(kind, inputs, augmented(kind, inputs, noise__snr_db=(0.0, 0.0))[0]).mean(dim=(0, 3))
    white = powers(kind, FRONTENDS[kind].spectrogram(noise(16, 8000, seed=7))).mean(dim=(0, 3))
    torch.testing.assert_close(bands / bands.mean(), white / white.mean(), rtol=0.2, atol=0.02)


@pytest.mark.parametrize("kind", FRONTENDS)
@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_noise_on_spectrograms_is_as_loud_as_on_waveforms(kind: str, snr_db: float) -> None:
    waveform = noise(8, 30_000)
    noisy, _ = augmented("waveform", waveform, noise__snr_db=(snr_db, snr_db))
    expected = powers(kind, FRONTENDS[kind].spectrogram(noisy)).mean(dim=(1, 2, 3))
    found = powers(kind, augmented(kind, inputs_of(kind, waveform), noise__snr_db=(snr_db, snr_db))[0])
    distance_db = 10 * (found.mean(dim=(1, 2, 3)) / expected).log10()
    torch.testing.assert_close(distance_db, torch.zeros(8), atol=0.5, rtol=0)


def test_noise_ratio_is_drawn_for_each_clip_between_the_bounds() -> None:
    inputs = noise(200, 2000)
    added = augmented("waveform", inputs, noise__snr_db=(5.0, 25.0))[0] - inputs
    found_db = 20 * (rms("waveform", inputs) / rms("waveform", added)).log10()
    assert 4 < found_db.min() < 8
    assert 22 < found_db.max() < 26


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 10.0])
def test_mixup_blends_waveforms_and_targets_by_the_same_convex_share(alpha: float) -> None:
    inputs = noise(64, 50)
    mixed, blend = augmented(
        "waveform", inputs, mix__name="mixup", mix__alpha=alpha
    )  # a target per clip: the blend can be read off
    assert blend.min() >= 0
    torch.testing.assert_close(blend.sum(dim=1), torch.ones(64))
    assert int((blend > 0).sum(dim=1).max()) <= 2
    torch.testing.assert_close(mixed, blend @ inputs, atol=1e-5, rtol=1e-5)


def test_mixup_share_follows_alpha() -> None:
    def blended(alpha: float) -> float:
        """Mean of 4 share (1 - share): 0 where one clip is left alone, 1 where two are averaged."""
        _, blend = augmented("waveform", torch.zeros(2000, 1), mix__name="mixup", mix__alpha=alpha)
        return float((2 * (1 - blend.square().sum(dim=1))).mean())

    # E[4 s (1 - s)] of Beta(a, a) is 2 a / (2 a + 1).
    for alpha in (0.05, 0.2, 1.0, 10.0):
        assert blended(alpha) == pytest.approx(2 * alpha / (2 * alpha + 1), abs=0.04)


@pytest.mark.parametrize("mix", ["mixup", "between_class"])
@pytest.mark.parametrize("probability", [0.2, 0.7, 1.0])
def test_mix__probability_is_the_share_of_clips_that_are_mixed(mix: str, probability: float) -> None:
    inputs = noise(500, 10)
    mixed, blend = augmented("waveform", inputs, mix__name=mix, mix__probability=probability, mix__alpha=1.0)
    alone = blend.diagonal() == 1
    assert float((~alone).float().mean()) == pytest.approx(probability, abs=0.07)
    torch.testing.assert_close(mixed[alone], inputs[alone])


def test_between_class_mixes_with_another_class_wherever_there_is_one() -> None:
    labels = torch.tensor([0] * 60 + [1, 2])
    targets = torch.nn.functional.one_hot(labels, 3).float()
    _, mixed = augmented("waveform", noise(62, 30), targets, mix__name="between_class", mix__alpha=1.0)
    assert int((mixed > 0).sum(dim=1).min()) == 2
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(62))
    _, same = augmented("waveform", noise(5, 30), targets[:5], mix__name="between_class", mix__alpha=1.0)
    torch.testing.assert_close(same, targets[:5])


def test_between_class_share_is_the_one_that_is_heard() -> None:
    """Tokozume et al., eq. 2, by hand: r is the target's share, g the distance of the levels in dB."""
    quiet, loud = noise(1, 4000), 10 * noise(1, 4000, seed=2)
    inputs = torch.cat([quiet, loud])
    mixed, blend = augmented("waveform", inputs, torch.eye(2), mix__name="between_class", mix__alpha=1.0)
    for own, other in ((0, 1), (1, 0)):
        levels_db = 20 * inputs.square().mean(dim=1).sqrt().log10()
        r = float(blend[own, own])
        p = 1 / (1 + 10 ** (float(levels_db[own] - levels_db[other]) / 20) * (1 - r) / r)
        expected = (p * inputs[own] + (1 - p) * inputs[other]) / math.hypot(p, 1 - p)
        torch.testing.assert_close(mixed[own], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", FRONTENDS)
@pytest.mark.parametrize("mix", ["mixup", "between_class"])
def test_mixed_spectrograms_are_those_of_mixed_waveforms_on_average(kind: str, mix: str) -> None:
    """Over many frames of independent noises; spectrograms are mixed by the same draws."""
    waveform = torch.cat([(1 + clip) * noise(1, 100_000, seed=clip) for clip in range(4)])
    by_waveform, blend = augmented("waveform", waveform, mix__name=mix, mix__alpha=1.0)
    by_spectrogram, same_blend = augmented(kind, inputs_of(kind, waveform), mix__name=mix, mix__alpha=1.0)
    assert torch.equal(blend, same_blend)
    expected = FRONTENDS[kind].spectrogram(by_waveform).mean(dim=3)
    torch.testing.assert_close(by_spectrogram.mean(dim=3), expected, rtol=0.1, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mix", ["mixup", "between_class"])
def test_a_clip_on_its_own_is_not_mixed(kind: str, mix: str) -> None:
    inputs = inputs_of(kind, noise(1))
    found, targets = augmented(kind, inputs, mix__name=mix, mix__alpha=1.0)
    assert torch.equal(found, inputs)
    assert torch.equal(targets, torch.eye(1))


STRONG: dict[str, Any] = {
    "gain_db": 6.0,
    "delay": 0.3,
    "time_shift": 0.5,
    "noise__snr_db": (0.0, 10.0),
    "mix__name": "between_class",
    "mix__alpha": 1.0,
    "time_stretch": 0.2,
    "freq_shift": 2,
    "freq_mask": 3,
    "time_mask": 3,
}


@pytest.mark.parametrize("kind", KINDS)
def test_augmentation_is_finite_on_silence_and_on_a_batch_of_one(kind: str) -> None:
    frontend, config_ = FRONTENDS.get(kind, STFT), config(**STRONG)
    for waveform in (torch.zeros(4, 2000), torch.zeros(1, 2000), noise(1), torch.cat([noise(2), torch.zeros(2, 2000)])):
        inputs = inputs_of(kind, waveform)
        found, targets = augmented(kind, inputs, **STRONG)
        assert found.shape == inputs.shape
        assert found.isfinite().all()
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(len(inputs)))
        spectrogram = frontend.spectrogram(found) if kind == "waveform" else found
        spectrogram = change_spectrograms(spectrogram, 15, config_)
        assert spectrogram.shape == (len(inputs), frontend.n_channels, frontend.n_features, 15)
        assert (spectrogram >= 0).all()
        assert augment_compressed(frontend.compress(spectrogram), config_).isfinite().all()


def burst(first: int, n: int, n_frames: int = 100) -> Tensor:
    spectrogram = torch.zeros(1, 1, 16, n_frames)
    spectrogram[:, :, 5, first : first + n] = 1.0
    return spectrogram


@pytest.mark.parametrize("largest", [0.1, 0.3])
def test_time_stretch_changes_durations_within_bounds_and_keeps_the_band(largest: float) -> None:
    torch.manual_seed(0)
    stretched = change_spectrograms(burst(0, 40).expand(400, -1, -1, -1), 80, config(time_stretch=largest))
    assert stretched.shape == (400, 1, 16, 80)
    assert stretched[:, 0].sum(dim=2).count_nonzero(dim=0).tolist() == [400 if band == 5 else 0 for band in range(16)]
    speeds = 39.5 / (stretched[:, 0, 5].sum(dim=1) - 0.5)  # the end of the burst lies between two frames
    assert 1 - largest - 0.02 < speeds.min() < 1 - 0.85 * largest
    assert 1 + 0.85 * largest < speeds.max() < 1 + largest + 0.02


def test_time_stretch_interpolates_between_frames() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(100.0).expand(8, 3, 4, 100)
    stretched = change_spectrograms(ramp, 60, config(time_stretch=0.4))
    speed = stretched[:, 0, 0, 1]
    torch.testing.assert_close(stretched, (speed[:, None] * torch.arange(60))[:, None, None].expand(8, 3, 4, 60))


def test_time_stretch_holds_the_last_frame_where_the_clip_ends() -> None:
    torch.manual_seed(0)
    stretched = change_spectrograms(torch.arange(10.0).expand(50, 1, 2, 10), 30, config(time_stretch=0.2))
    assert stretched.max() == 9
    assert torch.equal(stretched[..., -1], torch.full((50, 1, 2), 9.0))


@pytest.mark.parametrize("most", [1, 3])
def test_freq_shift_moves_by_whole_bands_and_repeats_the_outermost(most: int) -> None:
    torch.manual_seed(0)
    spectrogram = torch.rand(90, 3, 8, 12)
    shifted = change_spectrograms(spectrogram, 12, config(freq_shift=most))
    found = []
    for clip, moved in zip(spectrogram, shifted, strict=True):
        for by in range(-most, most + 1):
            if torch.equal(clip[:, (torch.arange(8) + by).clamp(0, 7)], moved):
                found.append(by)
                break
        else:
            pytest.fail("not a shift by whole bands")
    assert set(found) == set(range(-most, most + 1))


@pytest.mark.parametrize("knob", [{"time_stretch": 0.2}, {"freq_shift": 2}])
def test_gradients_reach_learned_front_ends_through_changed_spectrograms(knob: dict[str, Any]) -> None:
    spectrogram = torch.rand(4, 3, 8, 30, requires_grad=True)
    change_spectrograms(spectrogram, 24, config(**knob)).square().sum().backward()
    assert isinstance(spectrogram.grad, Tensor)
    assert spectrogram.grad.isfinite().all()
    assert float((spectrogram.grad != 0).float().mean()) > 0.5


@pytest.mark.parametrize("kind", FRONTENDS)
def test_augmentation_does_not_depend_on_memory_layout(kind: str) -> None:
    inputs = inputs_of(kind, noise(6))
    layouts = [
        inputs,
        inputs.contiguous(),
        inputs.contiguous(memory_format=torch.channels_last),
        inputs.movedim(3, 1).contiguous().movedim(1, 3),
    ]
    outcomes = []
    for layout in layouts:
        found, _ = augmented(kind, layout, **STRONG)
        outcomes.append(change_spectrograms(found, 15, config(**STRONG)))
    assert all(torch.equal(outcome, outcomes[0]) for outcome in outcomes[1:])
    assert len({layout.stride() for layout in layouts}) > 1


@pytest.mark.parametrize(("n_bands", "n_frames"), [(4, 0), (0, 12), (4, 12), (8, 44), (30, 200)])
def test_spec_augment_masks_at_most_the_given_bands_and_frames(n_bands: int, n_frames: int) -> None:
    torch.manual_seed(0)
    spectrogram = torch.randn(200, 1, 10, 50)
    masked = augment_compressed(spectrogram, config(freq_mask=n_bands, time_mask=n_frames))
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
    masked = augment_compressed(spectrogram, config(time_mask=20))
    changed = ~torch.isclose(masked, spectrogram, atol=1e-3, rtol=0)
    mean = spectrogram.mean(dim=(1, 2, 3), keepdim=True).expand_as(spectrogram)
    torch.testing.assert_close(masked[changed], mean[changed], atol=1e-3, rtol=1e-4)


def test_spec_augment_masks_the_same_in_all_channels_with_the_mean_of_each() -> None:
    torch.manual_seed(0)
    spectrogram = torch.randn(50, 3, 10, 50) + 7 * torch.arange(3.0).reshape(1, -1, 1, 1)
    masked = augment_compressed(spectrogram, config(time_mask=20))
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
    masked = augment_compressed(spectrogram, config(**{knob: 5}))
    along = 3 if knob == "freq_mask" else 2
    touched = (~torch.isclose(masked, spectrogram, atol=1e-4, rtol=0)).any(dim=along, keepdim=True)
    touched = touched.expand_as(spectrogram)  # whole bands, or whole frames
    assert touched.any()
    assert torch.equal(masked[~touched], spectrogram[~touched])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mix", ["mixup", "between_class"])
def test_augmentation_is_reproducible_by_the_seed(kind: str, mix: str) -> None:
    inputs = inputs_of(kind, noise(8))
    first, again, other = (augmented(kind, inputs, seed=seed, **(STRONG | {"mix__name": mix})) for seed in (3, 3, 4))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("knob", [{"time_stretch": 0.2}, {"freq_shift": 2}])
def test_changes_of_spectrograms_are_reproducible_by_the_seed_and_differ_between_clips(knob: dict[str, Any]) -> None:
    spectrogram = torch.rand(1, 1, 8, 30).expand(12, 3, -1, -1)
    outcomes = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        outcomes.append(change_spectrograms(spectrogram, 24, config(**knob)))
    assert torch.equal(outcomes[0], outcomes[1])
    assert not torch.equal(outcomes[0], outcomes[2])
    assert torch.equal(outcomes[0][:, 0], outcomes[0][:, 2])  # the same in all channels
    assert len({clip.numpy().tobytes() for clip in outcomes[0]}) > 2


def tone(hertz: float, n_clips: int = 1, n_samples: int = 4000) -> Tensor:
    time = torch.arange(n_samples) / 8000
    return (0.1 * torch.sin(2 * math.pi * hertz * time)).repeat(n_clips, 1)


@pytest.mark.parametrize("largest", [0.1, 0.5])
def test_speed_moves_the_pitch_within_its_limits(largest: float) -> None:
    length = longest_window(2000, config(speed=largest))
    played, _ = augmented("waveform", tone(500, 40, length), torch.zeros(40, 2), speed=largest)
    assert played.shape == (40, 2000)
    found = torch.fft.rfft(played * torch.hann_window(2000), n=32000).abs().argmax(dim=1) / 4
    assert found.min() > 500 * (1 - largest) - 3
    assert found.max() < 500 * (1 + largest) + 3
    assert found.max() - found.min() > 500 * largest


def test_longest_window_is_enough_for_both_kinds_of_speed() -> None:
    both = config(speed=0.25, time_stretch=0.2)
    assert longest_window(1000, both) == 1500
    assert longest_window(1000, config()) == 1000


def test_equalizer_changes_gains_by_its_standard_deviation() -> None:
    clean = noise(400, 2048)
    changed, _ = augmented("waveform", clean, torch.zeros(400, 2), equalizer_db=3.0)
    decibels = 20 * torch.log10(torch.fft.rfft(changed).abs() / torch.fft.rfft(clean).abs())
    assert decibels[:, 1:-1].mean() == pytest.approx(0, abs=0.3)
    assert decibels[:, 1].std() == pytest.approx(3.0, rel=0.2)
    assert decibels[:, -2].std() == pytest.approx(3.0, rel=0.2)
    assert (decibels[:, 2:-1] - decibels[:, 1:-2]).abs().max() < 1  # smooth


@pytest.mark.parametrize("kind", FRONTENDS)
def test_equalizer_on_spectrograms_is_one_smooth_filter_per_clip(kind: str) -> None:
    clean = inputs_of(kind, noise(400)) + 1e-3
    changed, _ = augmented(kind, clean, torch.zeros(400, 2), equalizer_db=3.0)
    decibels = 20 / exponent(kind) * (changed / clean).log10()
    torch.testing.assert_close(decibels, decibels[:, :1, :, :1].expand_as(decibels), atol=2e-3, rtol=0)
    by_band = decibels[:, 0, :, 0]
    assert by_band.mean() == pytest.approx(0, abs=0.3)
    assert by_band[:, 0].std() == pytest.approx(3.0, rel=0.15)
    assert by_band[:, -1].std() == pytest.approx(3.0, rel=0.15)
    correlation = by_band.T.corrcoef()
    assert correlation.diagonal(1).min() > 0.5
    assert correlation[0, -1].abs() < 0.2


def test_band_limit_keeps_what_lies_between_its_edges() -> None:
    inputs = torch.cat([tone(hertz, 50) for hertz in (30.0, 1000.0, 3970.0)])
    limited, _ = augmented("waveform", inputs, torch.zeros(150, 2), band_limit_hz=(300.0, 3000.0))
    left = (limited.square().mean(dim=1) / inputs.square().mean(dim=1)).view(3, 50)
    assert left[1].min() == pytest.approx(1, abs=1e-3)
    assert left[0].median() < 0.01
    assert left[2].median() < 0.01


def test_impulses_hit_up_to_their_share_of_the_samples() -> None:
    clean = noise(50)
    hit, _ = augmented("waveform", clean, torch.zeros(50, 2), impulses=0.2)
    share = (hit != clean).float().mean(dim=1)
    assert share.max() < 0.25
    assert share.max() > 0.15
    assert ((hit - clean).abs() <= clean.abs() * 1.0001).all()


def test_noise_has_its_level_whatever_its_colour() -> None:
    silence = 1e-4 * tone(1000, 60)
    white, _ = augmented("waveform", silence, torch.zeros(60, 2), noise__snr_db=(0.0, 0.0))
    coloured, _ = augmented("waveform", silence, torch.zeros(60, 2), noise__snr_db=(0.0, 0.0), noise__color_db=6.0)
    for noisy in (white, coloured):
        ratio = (noisy - silence).square().mean(dim=1) / silence.square().mean(dim=1)
        torch.testing.assert_close(ratio, torch.ones(60), rtol=1e-3, atol=0)
    low, high = (
        torch.fft.rfft(coloured - silence).abs().square()[:, band].mean(dim=1)
        for band in (slice(1, 200), slice(1800, 1999))
    )
    assert (10 * torch.log10(low / high)).std() > 4
