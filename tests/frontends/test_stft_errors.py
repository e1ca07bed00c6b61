"""What the adaptive STFT refuses, and how it says so; what lies just within the bounds is taken."""

import math
from typing import Any

import pytest
import torch
from stft_forms import FORMS, RATE, build, noise

from adaspec.errors import SettingError
from adaspec.frontends import AdaptiveSTFT

BANDED = {"learn_kernels": True, "kernel_form": "banded"}
TOLD: list[tuple[dict[str, Any], str]] = [
    ({"n_fft": 256, "win_length": 257}, "win_length=257 exceeds n_fft=256; raise n_fft or lower win_length"),
    ({"n_fft": 256, "win_length": 0}, "win_length=0 must be at least 1"),
    ({"n_fft": 0}, "n_fft=0 must be a whole number of at least 1"),
    ({"n_fft": 64.0}, "n_fft=64.0 must be a whole number of at least 1"),
    ({"hop_length": 0}, "hop_length=0 must be at least 1"),
    ({"power": 3}, "power=3 must be 1 or 2"),
    ({"n_mels": 0}, "n_mels=0 must be None or at least 1"),
    ({"gamma": 0.0}, "gamma=0.0 must be above 0"),
    ({"gamma": -1.0}, "gamma=-1.0 must be above 0"),
    ({"gamma": math.nan}, "gamma=nan must be above 0"),
    ({"n_transforms": 0}, "n_transforms=0 must be at least 1"),
    ({"window_ratio": 0.0}, "window_ratio=0.0 must be above 0 and at most 1"),
    ({"window_ratio": 1.5}, "window_ratio=1.5 must be above 0 and at most 1"),
    ({"compression": "ln"}, "compression=ln must be log10 or log1p or db or none or pcen"),
    *(
        ({f"pcen_{name}": value}, f"pcen_{name}={value} must be above 0")
        for name in ("time_constant_s", "gain", "bias", "power", "eps")
        for value in (0.0, math.nan, math.inf)
    ),
    *(
        ({"pcen_initial": value}, f"pcen_initial={value} must be at least 0, or None for the first frame's own level")
        for value in (-1.0, math.nan)
    ),
    (
        {"pcen_gain": 2.0, "pcen_eps": 1e-12},
        "pcen_gain=2.0 with pcen_eps=1e-12 lifts silence by a factor of 1e24, and float32 holds no more than 1e20 "
        "of it; lower the gain or raise pcen_eps",
    ),
    (
        {"compression": "db", "learn_compression": True},
        "learn_compression=True needs compression=pcen, which can learn; db has nothing to learn",
    ),
    ({"kernel_form": "sparse"}, "kernel_form=sparse must be dense or banded or parametric"),
    ({"precision": 16}, "precision=16 must be 32 or bf16"),
    ({"kernel_constraint": "unitary"}, "kernel_constraint=unitary must be free or unit_norm or orthonormal"),
    *(
        (
            {"kernel_form": "banded", "kernel_constraint": constraint},
            f"kernel_constraint={constraint} is not for banded kernels; set it to free, or the kernels' form to dense",
        )
        for constraint in ("unit_norm", "orthonormal")
    ),
    (
        {"kernel_form": "banded", "precision": "bf16"},
        "precision=bf16 is not for banded kernels; set it to 32, or the kernels' form to dense",
    ),
    *(
        (
            BANDED | {"n_fft": 64, "n_mels": None, "band_width": band_width},
            f"band_width={band_width} must be odd (a bin and as many neighbours on either side) and at most 33",
        )
        for band_width in (4, 35, -1)
    ),
    ({"f_max": 9000.0}, "f_max=9000.0 exceeds half of the sample rate, 8000.0 Hz; lower it or set it to null"),
    ({"f_min": 8000.0}, "f_min=8000.0 must be at least 0 and below the highest frequency, 8000.0 Hz"),
    ({"f_min": -1.0}, "f_min=-1.0 must be at least 0 and below the highest frequency, 8000.0 Hz"),
    ({"f_min": math.nan}, "f_min=nan must be at least 0 and below the highest frequency, 8000.0 Hz"),
    ({"f_max": math.nan}, "f_min=0.0 must be at least 0 and below the highest frequency, nan Hz"),
    ({"n_mels": None, "learn_mel": True}, "learn_mel=True needs mel bands, but there are none; set n_mels"),
    (
        {"n_fft": 8193, "learn_kernels": True},
        "n_fft=8193 makes 8193^2 kernel values, above 8192^2; lower n_fft, or learn banded kernels",
    ),
    (
        {"window": "flattop", "window_nonnegative": True},
        "window='flattop' of length 1024 is not what window_nonnegative=True and window_symmetric=False ask for; "
        "switch off the one it violates",
    ),
    (
        {"window": ("exponential", 0, 100.0), "window_symmetric": True},
        "window=('exponential', 0, 100.0) of length 1024 is not what window_nonnegative=False and "
        "window_symmetric=True ask for; switch off the one it violates",
    ),
    (
        {"window": "hamming", "window_symmetric": True, "n_transforms": 2, "window_ratio": 0.5},
        "window='hamming' of length 1024 and 512 is not what window_nonnegative=False and window_symmetric=True ask "
        "for; switch off the one it violates, or set window_ratio to 1",
    ),
]


@pytest.mark.parametrize(("settings", "told"), TOLD, ids=[told[:40] for _, told in TOLD])
def test_stft_unusable_settings_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError) as refusal:
        AdaptiveSTFT(sample_rate=RATE, **settings)
    assert str(refusal.value) == told
    assert told.startswith(f"{refusal.value.setting}=")


def test_stft_empty_mel_bands_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^n_mels=64 leaves \d+ bands .* without a bin of n_fft=64 at 16000 Hz"):
        AdaptiveSTFT(sample_rate=RATE, n_fft=64, n_mels=64)


@pytest.mark.parametrize("name", ["mel_scale", "mel_norm"])
def test_stft_unknown_mel_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="slaney"):
        AdaptiveSTFT(sample_rate=RATE, **{name: "mels"})


def test_stft_unknown_window_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid window name"):
        AdaptiveSTFT(sample_rate=RATE, window="hannig")


@pytest.mark.parametrize("shape", [(100,), (2, 1, 100), (0, 100), (2, 0), ()])
def test_stft_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must have shape") as refusal:
        AdaptiveSTFT(sample_rate=RATE)(torch.zeros(shape))
    assert str(refusal.value) == f"waveform must have shape (batch, n_samples), neither of them 0, got {shape}"


@pytest.mark.parametrize("window", ["hann", "hamming", "blackman", "boxcar", "nuttall", ("kaiser", 8.0), "cosine"])
@pytest.mark.parametrize("win_length", [400, 401])
def test_stft_common_windows_keep_both_constraints(window: Any, win_length: int) -> None:
    frame: dict[str, Any] = {"n_fft": 512, "win_length": win_length, "window": window, "n_mels": None}
    constrained = build("fft", **frame, window_nonnegative=True, window_symmetric=True)
    torch.testing.assert_close(constrained(noise(1, 2000)), build("fft", **frame)(noise(1, 2000)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("band_width", [1, 33])
def test_stft_band_width_may_be_one_bin_or_all(band_width: int) -> None:
    frame: dict[str, Any] = {"n_fft": 64, "hop_length": 25, "n_mels": None}
    layer = build("banded", **frame, band_width=band_width)
    torch.testing.assert_close(layer(noise(1, 300)).detach(), build("fft", **frame)(noise(1, 300)))


def test_stft_band_width_does_not_matter_to_dense_kernels() -> None:
    build("dense", n_fft=64, n_mels=None, band_width=4)


def test_stft_win_length_defaults_to_n_fft() -> None:
    settings: dict[str, Any] = {"n_fft": 256, "hop_length": 64, "n_mels": None}
    waveform = noise(1, 2000)
    found, expected = build("fft", **settings), build("fft", **settings, win_length=256)
    torch.testing.assert_close(found(waveform), expected(waveform), rtol=0, atol=0)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("n_fft", [256, 64, 255, 5])
@pytest.mark.parametrize("n_samples", [1, 2, 63, 64, 65, 640, 641, 703, 704])
def test_stft_number_of_frames(n_fft: int, n_samples: int, center: bool) -> None:
    layer = build("fft", n_fft=n_fft, hop_length=64, n_mels=None, center=center)
    # n_fft//2 samples are added at either end, of which an odd n_fft leaves one frame position less.
    n_frames = 1 + ((n_samples - n_fft % 2) if center else max(0, n_samples - n_fft)) // 64
    assert layer(noise(3, n_samples)).shape == (3, 1, n_fft // 2 + 1, n_frames)


@pytest.mark.parametrize("form", FORMS)
def test_stft_short_clips_are_filled_with_zeros(form: str) -> None:
    clip = noise(1, 20)
    frame: dict[str, Any] = {"n_fft": 64, "hop_length": 16, "n_mels": None, "compression": "none"}
    for center, ends in ((True, (32, 32)), (False, (0, 44))):
        padded = torch.nn.functional.pad(clip, ends).double()
        window = torch.hann_window(64, dtype=torch.float64)
        expected = torch.stft(padded, 64, 16, window=window, center=False, return_complex=True).abs().square()
        found = build(form, **frame, center=center)(clip).detach()
        for channel in range(found.shape[1]):
            torch.testing.assert_close(found[:, channel].double(), expected, rtol=1e-4, atol=1e-5)
