"""What the tests of the adaptive STFT share: its forms, clips, and the slow peers."""

from typing import Any

import scipy.signal
import torch
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT

RATE = 16_000
FORMS: dict[str, dict[str, Any]] = {
    "fft": {},
    "dense": {"learn_kernels": True},
    "banded": {"learn_kernels": True, "kernel_form": "banded"},
    "unit_norm": {"learn_kernels": True, "kernel_constraint": "unit_norm"},
    "orthonormal": {"learn_kernels": True, "kernel_constraint": "orthonormal"},
    "parametric": {"learn_kernels": True, "kernel_form": "parametric"},
    "length": {"learn_length": True},
    "three": {"n_transforms": 3},
}
LEARN_ALL = {"learn_window": True, "learn_mel": True, "mel_form": "free"}


def build(form: str, **settings: Any) -> AdaptiveSTFT:
    """A layer of that form; of a banded one's width of 9 as much as n_fft allows."""
    settings = {"sample_rate": RATE} | FORMS[form] | settings
    if settings.get("kernel_form") == "banded" and "band_width" not in settings:
        n_freqs = settings.get("n_fft", 1024) // 2 + 1
        settings["band_width"] = min(9, n_freqs - 1 + n_freqs % 2)
    return AdaptiveSTFT(**settings)


def perturb(layer: AdaptiveSTFT, amount: float = 0.05, seed: int = 3) -> AdaptiveSTFT:
    """The layer, after every parameter moved at random, in place; it is then far from the STFT and from any kink.

    Windows get longer by up to 6 %, for which those of up to 0.94 n_fft have room.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            change = amount * noise.to(parameter)
            parameter.add_(change.abs().clamp(0.01, 0.06) if name.endswith("log_ratio") else change)
    return layer


def noise(batch: int, n_samples: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(batch, n_samples, generator=torch.Generator().manual_seed(seed))


def torch_stft(
    waveform: Tensor, *, n_fft: int, hop_length: int, win_length: int, window: Any = "hann", center: bool = True
) -> Tensor:
    """torch.stft in float64: (batch, n_fft//2 + 1, n_frames)."""
    return torch.stft(
        waveform.double(),
        n_fft,
        hop_length=hop_length,
        win_length=win_length,
        window=torch.from_numpy(scipy.signal.get_window(window, win_length)),
        center=center,
        pad_mode="reflect",
        return_complex=True,
    )


def cut_frames(waveform: Tensor, n_fft: int, hop_length: int, center: bool) -> Tensor:
    """Frames (batch, n_frames, n_fft) of clips longer than half a frame, padded by torch itself."""
    if center:
        waveform = torch.nn.functional.pad(waveform[:, None], (n_fft // 2, n_fft // 2), mode="reflect")[:, 0]
    return waveform.unfold(1, n_fft, hop_length)


def gradients(layer: torch.nn.Module) -> dict[str, Tensor]:
    """Gradient of every parameter that is learned; a missing one fails."""
    found = {name: parameter.grad for name, parameter in layer.named_parameters() if parameter.requires_grad}
    assert all(isinstance(gradient, Tensor) for gradient in found.values()), found
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


def deviation(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest expected value."""
    assert found.shape == expected.shape
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())
