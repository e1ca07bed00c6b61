import math
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
import torchaudio
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.stft import dft_basis

RATE = 16_000


def noise(batch: int, n_samples: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(batch, n_samples, generator=torch.Generator().manual_seed(seed))


def reference_power(waveform: Tensor, n_fft: int, win_length: int, hop_length: int, window: Any) -> Tensor:
    """|X|^2 of torch.stft in float64: (batch, n_fft//2 + 1, n_frames)."""
    spectrum = torch.stft(
        waveform.double(),
        n_fft,
        hop_length=hop_length,
        win_length=win_length,
        window=torch.from_numpy(scipy.signal.get_window(window, win_length)),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    return spectrum.abs().square()


GRID = [
    # n_fft, win_length, hop_length, window, n_samples
    (1024, 1024, 512, "hann", 5000),
    (1024, 1000, 160, "hamming", 4001),
    (512, 400, 160, "hann", 1601),
    (512, 401, 512, ("kaiser", 14.0), 3333),
    (256, 1, 64, "boxcar", 1000),
    (64, 63, 7, "blackman", 333),
    (255, 255, 100, "hann", 1001),
    (255, 200, 33, "hamming", 777),
    (401, 401, 160, "hann", 1600),
    (63, 64 - 2, 16, ("gaussian", 9.0), 500),
    (5, 4, 2, "boxcar", 31),
    (4, 4, 1, "hann", 9),
    (2048, 2048, 512, "hann", 4096),
]


@pytest.mark.parametrize("learn_kernels", [False, True])
@pytest.mark.parametrize(("n_fft", "win_length", "hop_length", "window", "n_samples"), GRID)
def test_stft_power_equals_torch_stft(
    n_fft: int, win_length: int, hop_length: int, window: Any, n_samples: int, learn_kernels: bool
) -> None:
    frontend = AdaptiveSTFT(
        sample_rate=RATE,
        n_fft=n_fft,
        win_length=win_length,
        hop_length=hop_length,
        window=window,
        n_mels=None,
        log_base=None,
        learn_kernels=learn_kernels,
    )
    waveform = noise(2, n_samples)
    expected = reference_power(waveform, n_fft, win_length, hop_length, window)
    power = frontend(waveform)[:, 0].detach().double()
    assert power.shape == expected.shape
    assert (power - expected).abs().max() <= 1e-5 * expected.max()


def test_stft_win_length_defaults_to_n_fft() -> None:
    waveform = noise(1, 2000)
    settings: dict[str, Any] = {"sample_rate": RATE, "n_fft": 256, "hop_length": 64, "n_mels": None}
    torch.testing.assert_close(
        AdaptiveSTFT(**settings)(waveform), AdaptiveSTFT(**settings, win_length=256)(waveform), rtol=0, atol=0
    )


@pytest.mark.parametrize("learn_kernels", [False, True])
@pytest.mark.parametrize(
    ("sample_rate", "n_fft", "n_mels", "f_min", "f_max"),
    [(16_000, 512, 40, 0.0, None), (22_050, 1024, 64, 0.0, None), (8000, 401, 20, 50.0, 3800.0)],
)
def test_stft_mel_equals_torchaudio(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float | None, learn_kernels: bool
) -> None:
    frontend = AdaptiveSTFT(
        sample_rate=sample_rate,
        n_fft=n_fft,
        hop_length=200,
        n_mels=n_mels,
        f_min=f_min,
        f_max=f_max,
        log_base=None,
        learn_kernels=learn_kernels,
    )
    reference = torchaudio.transforms.MelSpectrogram(
        sample_rate, n_fft, hop_length=200, f_min=f_min, f_max=f_max, n_mels=n_mels, norm=None, mel_scale="htk"
    )
    waveform = noise(2, 4001)
    expected = reference(waveform)
    found = frontend(waveform)[:, 0].detach()
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-5 * expected.max()


@pytest.mark.parametrize("n_mels", [None, 20])
@pytest.mark.parametrize("log_base", [1.0, 1e6])
def test_stft_compression_is_the_logarithm_of_one_plus_scaled_power(n_mels: int | None, log_base: float) -> None:
    settings: dict[str, Any] = {"sample_rate": RATE, "n_fft": 256, "hop_length": 100, "n_mels": n_mels}
    waveform = noise(2, 1500)
    power = AdaptiveSTFT(**settings, log_base=None)(waveform).double()
    expected = torch.log10(1 + log_base * power).float()
    torch.testing.assert_close(AdaptiveSTFT(**settings, log_base=log_base)(waveform), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_fft", [256, 64, 255, 5])
@pytest.mark.parametrize("n_samples", [1, 2, 63, 64, 65, 640, 641, 703, 704])
def test_stft_number_of_frames(n_fft: int, n_samples: int) -> None:
    frontend = AdaptiveSTFT(sample_rate=RATE, n_fft=n_fft, hop_length=64, n_mels=None)
    # n_fft//2 samples are added at either end, of which an odd n_fft leaves one frame position less.
    n_frames = 1 + (n_samples - n_fft % 2) // 64
    assert frontend(noise(3, n_samples)).shape == (3, 1, n_fft // 2 + 1, n_frames)


def test_stft_short_clip_is_filled_with_zeros() -> None:
    frontend = AdaptiveSTFT(sample_rate=RATE, n_fft=64, hop_length=16, n_mels=None, log_base=None)
    clip = noise(1, 20)
    padded = torch.nn.functional.pad(clip, (32, 32)).double()
    expected = torch.stft(
        padded, 64, 16, window=torch.hann_window(64, dtype=torch.float64), center=False, return_complex=True
    )
    torch.testing.assert_close(frontend(clip)[:, 0].double(), expected.abs().square(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_fft", [2, 3, 4, 5, 255, 256, 2048])
def test_dft_basis_equals_the_transform(n_fft: int) -> None:
    basis = dft_basis(n_fft)
    expected = np.fft.rfft(np.eye(n_fft)).T  # (n_fft//2 + 1, n_fft)
    assert basis.shape == (n_fft, n_fft)
    assert basis.dtype == torch.float32
    np.testing.assert_allclose(basis[: n_fft // 2 + 1], expected.real, rtol=0, atol=1e-7)
    np.testing.assert_allclose(basis[n_fft // 2 + 1 :], expected.imag[1 : 1 + (n_fft - 1) // 2], rtol=0, atol=1e-7)


@pytest.mark.parametrize("n_fft", [8, 9])
@pytest.mark.parametrize("learn_kernels", [False, True])
@pytest.mark.parametrize("log_base", [None, 10.0])
def test_stft_gradients_are_those_of_the_function(n_fft: int, learn_kernels: bool, log_base: float | None) -> None:
    frontend = AdaptiveSTFT(
        sample_rate=RATE,
        n_fft=n_fft,
        win_length=7,
        hop_length=3,
        window="hamming",
        n_mels=2,
        log_base=log_base,
        learn_window=True,
        learn_kernels=learn_kernels,
    ).double()
    names = [name for name, _ in frontend.named_parameters()]
    assert names == (["window", "kernels"] if learn_kernels else ["window"])

    def function(waveform: Tensor, *values: Tensor) -> Tensor:
        output = torch.func.functional_call(frontend, dict(zip(names, values, strict=True)), (waveform,))
        assert isinstance(output, Tensor)
        return output

    inputs = [noise(2, 14).double(), *(value.detach().clone() for value in frontend.parameters())]
    assert torch.autograd.gradcheck(function, [value.requires_grad_() for value in inputs])


HARD_CLIPS = {
    "silence": torch.zeros(1, 3000),
    "dc": torch.ones(1, 3000),
    "impulse": torch.nn.functional.one_hot(torch.tensor([1500]), 3000).float(),
    "square": torch.tensor([1.0, -1.0]).repeat_interleave(20).repeat(75)[None],
    "faint": torch.full((1, 3000), 1e-30),
    "one sample": torch.ones(1, 1),
    "one silent sample": torch.zeros(1, 1),
}


@pytest.mark.parametrize("clip", HARD_CLIPS)
@pytest.mark.parametrize("n_mels", [None, 32])
@pytest.mark.parametrize("log_base", [None, 1e6])
@pytest.mark.parametrize("learn_kernels", [False, True])
def test_stft_output_and_gradients_are_finite(
    clip: str, n_mels: int | None, log_base: float | None, learn_kernels: bool
) -> None:
    frontend = AdaptiveSTFT(
        sample_rate=RATE,
        n_fft=512,
        win_length=400,
        hop_length=160,
        n_mels=n_mels,
        log_base=log_base,
        learn_window=True,
        learn_kernels=learn_kernels,
    )
    waveform = HARD_CLIPS[clip].clone().requires_grad_()
    output = frontend(waveform)
    assert output.isfinite().all()
    assert (output >= 0).all()
    output.sum().backward()
    for gradient in (waveform.grad, *(parameter.grad for parameter in frontend.parameters())):
        assert isinstance(gradient, Tensor)
        assert gradient.isfinite().all()


def test_stft_silence_is_zero() -> None:
    assert not AdaptiveSTFT(sample_rate=RATE)(torch.zeros(2, 5000)).any()


@pytest.mark.parametrize("learn_kernels", [False, True])
def test_stft_clip_is_independent_of_its_batch(learn_kernels: bool) -> None:
    frontend = AdaptiveSTFT(sample_rate=RATE, n_fft=256, hop_length=128, n_mels=32, learn_kernels=learn_kernels).eval()
    clips = noise(5, 2000)
    clips[2] *= 1000
    with torch.no_grad():
        together = frontend(clips)
        alone = torch.cat([frontend(clip[None]) for clip in clips])
        shuffled = frontend(clips.flip(0)).flip(0)
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(together, shuffled, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("learn_window", "learn_kernels", "names"),
    [(False, False, []), (True, False, ["window"]), (False, True, ["kernels"]), (True, True, ["window", "kernels"])],
)
def test_stft_learn_flags_decide_the_parameters(learn_window: bool, learn_kernels: bool, names: list[str]) -> None:
    frontend = AdaptiveSTFT(
        sample_rate=RATE, n_fft=256, win_length=200, n_mels=20, learn_window=learn_window, learn_kernels=learn_kernels
    )
    assert [name for name, _ in frontend.named_parameters()] == names
    shapes = {"window": (200,), "kernels": (256, 256)}
    assert [tuple(value.shape) for value in frontend.parameters()] == [shapes[name] for name in names]
    assert f"learn_window={learn_window}, learn_kernels={learn_kernels}" in repr(frontend)


@pytest.mark.parametrize(("learn_window", "learn_kernels"), [(True, False), (False, True), (True, True)])
def test_stft_output_follows_every_optimiser_step(learn_window: bool, learn_kernels: bool) -> None:
    frontend = AdaptiveSTFT(
        sample_rate=RATE, n_fft=128, hop_length=64, n_mels=16, learn_window=learn_window, learn_kernels=learn_kernels
    )
    optimizer = torch.optim.SGD(frontend.parameters(), lr=1e-2)
    waveform = noise(2, 1000)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = frontend(waveform).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == 4
    # In evaluation mode, and through the very same object, the last step counts too.
    with torch.no_grad():
        before = frontend.eval()(waveform)
        for parameter in frontend.parameters():
            parameter.mul_(2)
        factor = 4.0 ** (learn_window + learn_kernels)
        power, power_before = (torch.pow(10, value.double()) - 1 for value in (frontend(waveform), before))
    torch.testing.assert_close(power, factor * power_before, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("learn", [False, True])
def test_stft_state_dict_round_trip(learn: bool) -> None:
    settings: dict[str, Any] = {"sample_rate": RATE, "n_fft": 128, "n_mels": 16, "hop_length": 64}
    settings |= {"learn_window": learn, "learn_kernels": learn}
    trained, fresh = AdaptiveSTFT(**settings), AdaptiveSTFT(**settings, window="boxcar")
    with torch.no_grad():
        trained.window.add_(0.1)
        if trained.kernels is not None:
            trained.kernels.add_(0.1)
    waveform = noise(2, 700)
    assert not torch.equal(fresh(waveform), trained(waveform))
    fresh.load_state_dict(trained.state_dict())
    torch.testing.assert_close(fresh(waveform), trained(waveform), rtol=0, atol=0)


def test_stft_keeps_float32_under_autocast() -> None:
    frontend = AdaptiveSTFT(sample_rate=RATE, n_fft=256, learn_kernels=True, n_mels=16)
    waveform = noise(2, 1000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = frontend(waveform)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output, frontend(waveform), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"n_fft": 256, "win_length": 257}, "win_length=257 must be between 1 and n_fft=256"),
        ({"n_fft": 256, "win_length": 0}, "win_length=0 must be between 1 and n_fft=256"),
        ({"hop_length": 0}, "hop_length=0 must be at least 1"),
        ({"f_max": 9000.0}, "f_min=0.0 and f_max=9000.0 must satisfy 0 <= f_min < f_max <= 8000.0 Hz"),
        ({"f_min": 8000.0}, "f_min=8000.0 and f_max=8000.0 must satisfy 0 <= f_min < f_max <= 8000.0 Hz"),
        ({"f_min": -1.0}, "f_min=-1.0 and f_max=8000.0 must satisfy 0 <= f_min < f_max <= 8000.0 Hz"),
        ({"f_min": math.nan}, "f_min=nan and f_max=8000.0 must satisfy 0 <= f_min < f_max <= 8000.0 Hz"),
    ],
)
def test_stft_unusable_settings_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match="must ") as refusal:
        AdaptiveSTFT(sample_rate=RATE, **settings)
    assert str(refusal.value) == told


def test_stft_empty_mel_bands_are_refused_without_a_second_warning() -> None:
    with pytest.raises(
        ValueError, match=r"^\d+ of n_mels=64 bands between 0\.0 and 8000\.0 Hz hold no bin of"
    ) as refusal:
        AdaptiveSTFT(sample_rate=RATE, n_fft=64, n_mels=64)
    assert str(refusal.value).endswith("n_fft=64 at 16000 Hz; lower n_mels or raise n_fft")


@pytest.mark.parametrize("shape", [(100,), (2, 1, 100)])
def test_stft_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must have shape") as refusal:
        AdaptiveSTFT(sample_rate=RATE)(torch.zeros(shape))
    assert str(refusal.value) == f"waveform must have shape (batch, n_samples), got {shape}"
