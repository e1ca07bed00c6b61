from typing import Any

import pytest
import torch
from torch import Tensor
from torchaudio.compliance import kaldi

from adaspec.errors import SettingError
from adaspec.frontends import Fbank

SETTINGS: dict[str, Any] = {"frame_length_ms": 25.0, "frame_shift_ms": 10.0, "n_mels": 40, "normalize": False}


def noise(batch: int, n_samples: int) -> Tensor:
    return 0.3 * torch.randn(batch, n_samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("sample_rate", "frame_length_ms", "frame_shift_ms", "n_mels"),
    [(16_000, 25.0, 10.0, 128), (16_000, 25.0, 10.0, 40), (22_050, 20.0, 7.5, 64), (44_100, 32.0, 16.0, 64)],
)
def test_fbank_equals_kaldi(sample_rate: int, frame_length_ms: float, frame_shift_ms: float, n_mels: int) -> None:
    frontend = Fbank(
        sample_rate=sample_rate,
        frame_length_ms=frame_length_ms,
        frame_shift_ms=frame_shift_ms,
        n_mels=n_mels,
        normalize=False,
    )
    waveform = noise(3, 5001)
    expected = torch.stack(
        [
            kaldi.fbank(
                clip[None],
                blackman_coeff=0.42,
                dither=0.0,
                energy_floor=1.0,
                frame_length=frame_length_ms,
                frame_shift=frame_shift_ms,
                high_freq=sample_rate / 2,
                htk_compat=True,
                low_freq=20.0,
                num_mel_bins=n_mels,
                preemphasis_coefficient=0.97,
                remove_dc_offset=True,
                round_to_power_of_two=True,
                sample_frequency=sample_rate,
                snip_edges=True,
                subtract_mean=False,
                use_energy=False,
                use_log_fbank=True,
                use_power=True,
                vtln_warp=1.0,
                window_type="hanning",
            ).T
            for clip in waveform
        ]
    )
    # Not to the last bit: processors sum in different orders.
    torch.testing.assert_close(frontend(waveform)[:, 0], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sample_rate", [1000, 11_025, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("n_samples", [1, 399, 400, 401, 560, 3333])
def test_fbank_shape(sample_rate: int, n_samples: int) -> None:
    frontend = Fbank(sample_rate=sample_rate, **SETTINGS)
    frame, hop = int(sample_rate * 25 * 0.001), int(sample_rate * 10 * 0.001)
    n_frames = 1 + max(0, n_samples - frame) // hop
    assert frontend(noise(2, n_samples)).shape == (2, 1, 40, n_frames)


def test_fbank_short_clip_equals_the_clip_followed_by_zeros() -> None:
    frontend = Fbank(sample_rate=16_000, **SETTINGS)
    clip = noise(1, 250)
    padded = torch.cat([clip, torch.zeros(1, 150)], dim=1)
    torch.testing.assert_close(frontend(clip), frontend(padded), rtol=0, atol=0)


def test_fbank_more_bands_than_bins_gives_no_warning() -> None:
    # Warnings are errors here.
    assert Fbank(sample_rate=8000, **(SETTINGS | {"n_mels": 128}))(noise(1, 2000)).isfinite().all()


def test_fbank_normalize_brings_each_clip_to_mean_0_and_deviation_1() -> None:
    waveform = noise(3, 4000) * torch.tensor([[1e-2], [1.0], [30.0]])
    plain = Fbank(sample_rate=16_000, **SETTINGS)(waveform)
    features = Fbank(sample_rate=16_000, **(SETTINGS | {"normalize": True}))(waveform)
    torch.testing.assert_close(features.mean(dim=(1, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(features.std(dim=(1, 2, 3), correction=0), torch.ones(3), rtol=0, atol=1e-4)
    for clip, normalised in zip(plain, features, strict=True):
        assert torch.corrcoef(torch.stack([clip.flatten(), normalised.flatten()]))[0, 1] > 0.9999


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("clip", [torch.zeros(1, 2000), torch.ones(1, 2000), torch.zeros(1, 1), torch.ones(1, 1)])
def test_fbank_is_finite_on_silence_dc_and_one_sample(clip: Tensor, normalize: bool) -> None:
    frontend = Fbank(sample_rate=16_000, **(SETTINGS | {"normalize": normalize}))
    assert frontend(clip).isfinite().all()


def test_fbank_clip_is_independent_of_its_batch() -> None:
    frontend = Fbank(sample_rate=16_000, **(SETTINGS | {"normalize": True}))
    clips = noise(4, 3000) * torch.tensor([[1.0], [100.0], [1e-3], [1.0]])
    torch.testing.assert_close(frontend(clips), torch.cat([frontend(clip[None]) for clip in clips]), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"frame_length_ms": 0.1},
            "frame_length_ms=0.1 and frame_shift_ms=10.0 give 1 and 160 samples",
        ),
        (
            {"frame_shift_ms": 0.05},
            "frame_length_ms=25.0 and frame_shift_ms=0.05 give 400 and 0 samples",
        ),
    ],
)
def test_fbank_frames_below_a_sample_are_refused(change: dict[str, float], told: str) -> None:
    with pytest.raises(SettingError) as refusal:
        Fbank(sample_rate=16_000, **(SETTINGS | change))
    assert str(refusal.value) == f"{told} at 16000 Hz; at least 2 and 1 are needed"


@pytest.mark.parametrize("sound", [torch.zeros(3, 4000), 0.1 * torch.randn(3, 4000)], ids=["silence", "noise"])
def test_fbank_for_export_gives_the_same(sound: Tensor) -> None:
    layer = Fbank(sample_rate=16_000, **(SETTINGS | {"normalize": True}))
    torch.testing.assert_close(layer.for_export()(sound), layer(sound), rtol=0, atol=2e-3)


@pytest.mark.parametrize("shape", [(100,), (2, 1, 100), (0, 100)])
def test_fbank_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must have shape") as refusal:
        Fbank(sample_rate=16_000, **SETTINGS)(torch.zeros(shape))
    assert str(refusal.value) == f"waveform must have shape (batch, n_samples), neither of them 0, got {shape}"
