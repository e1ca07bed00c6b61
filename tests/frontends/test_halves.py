"""Learned kernels times frames in pairs, in place of one by one."""

from typing import Any

import pytest
import torch
from grids import pairs
from stft_forms import LEARN_ALL, build, gradients, noise, perturb

from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.stft import portions
from adaspec.frontends.stft.framing import Framing, cut_frames
from adaspec.frontends.stft.halves import add_products, apart, cut_pairs, from_halves, in_halves, multiply, together

N_FFT = 64


def framing_of(hop_length: int) -> Framing:
    return Framing(N_FFT, hop_length, center=False, magnitude=False, bf16=False)


def loss(layer: AdaptiveSTFT, waveform: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    layer.zero_grad()
    output = layer(waveform)
    (output * torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view(output.shape)).sum().backward()
    return output.detach(), gradients(layer)


@pytest.mark.parametrize(
    ("form", "hop_length", "n_samples", "rows"),  # rows of a portion
    pairs(["dense", "parametric"], [32, 16, 1], [10, 64, 200, 223, 330], [1, 3, 8, 1000]),
)
def test_halves_give_what_autograd_gives(
    monkeypatch: pytest.MonkeyPatch, form: str, hop_length: int, n_samples: int, rows: int
) -> None:
    settings: dict[str, Any] = {"n_fft": N_FFT, "win_length": 60, "hop_length": hop_length, "n_mels": 8}
    layer = perturb(build(form, **settings, **LEARN_ALL, gamma=1.0).double())
    waveform = noise(3, n_samples).double()
    monkeypatch.setattr(portions, "MULTIPLIED", rows * N_FFT)
    found, found_gradients = loss(layer, waveform)
    plain, plain_gradients = loss(layer, waveform.requires_grad_())  # goes another way
    torch.testing.assert_close(found, plain, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found_gradients, plain_gradients, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n_frames", [1, 2, 5, 8, 9])
@pytest.mark.parametrize("hop_length", [32, 16, 8])
def test_frames_come_back_in_their_order(hop_length: int, n_frames: int) -> None:
    framing = framing_of(hop_length)
    features = noise(3, n_frames * 4).view(3, n_frames, 4)
    taken_apart = apart(features, framing)
    assert torch.equal(together(taken_apart, 3, n_frames, framing), features)
    pairs = cut_pairs(noise(3, N_FFT + (n_frames - 1) * hop_length), framing)
    assert taken_apart.shape[:2] == (2, 3 * pairs.shape[1])


@pytest.mark.parametrize("hop_length", [512, 256])
def test_halves_round_no_more_than_the_plain_product(hop_length: int) -> None:
    generator = torch.Generator().manual_seed(0)
    kernels = torch.randn(300, 1024, generator=generator)
    framing = Framing(1024, hop_length, center=False, magnitude=False, bf16=False)
    clips = noise(2, 1024 + 63 * hop_length)
    frames, pairs = cut_frames(clips, framing).flatten(0, 1), cut_pairs(clips, framing).flatten(0, 1)
    exact = frames.double() @ kernels.double().T
    spectra = multiply(pairs, in_halves(kernels)).unflatten(0, (2, -1))
    found = together(spectra, 2, 64, framing).flatten(0, 1)
    assert (found - exact).norm() < 1.1 * (frames @ kernels.T - exact).norm()
    gradient = torch.randn(2, 64, 300, generator=generator)
    sums = in_halves(torch.zeros_like(kernels))
    add_products(sums, apart(gradient, framing).flatten(0, 1), pairs)
    exact = gradient.flatten(0, 1).double().T @ frames.double()
    plain = torch.zeros_like(kernels).addmm_(gradient.flatten(0, 1).T, frames)
    assert (from_halves(sums) - exact).norm() < 1.1 * (plain - exact).norm()


@pytest.mark.parametrize("form", ["dense", "parametric"])
def test_what_lies_beyond_the_last_frame_is_not_heard(form: str) -> None:
    layer = build(form, n_fft=N_FFT, hop_length=32, n_mels=8, center=False)
    waveform = noise(2, 64 + 2 * 32 + 9)
    output, found = loss(layer, waveform)
    waveform[:, -9:] = torch.nan
    same, found_again = loss(layer, waveform)
    assert torch.equal(same, output)
    torch.testing.assert_close(found_again, found, rtol=0, atol=0)
