"""What the store relies on in front ends: the number of frames, and that they compute in two halves."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stft_forms import FORMS, LEARN_ALL, build, perturb

from adaspec.frontends import AdaptiveSTFT, Fbank

FRONTENDS = {
    "power": AdaptiveSTFT(sample_rate=8000, n_fft=256, hop_length=80, n_mels=20),
    "magnitude": AdaptiveSTFT(sample_rate=8000, n_fft=256, hop_length=80, n_mels=20, power=1),
    "three": AdaptiveSTFT(sample_rate=8000, n_fft=256, hop_length=80, n_mels=20, n_transforms=3, window_ratio=0.5),
    "linear": AdaptiveSTFT(sample_rate=8000, n_fft=128, hop_length=50, n_mels=None, center=False),
    "fbank": Fbank(sample_rate=8000, frame_length_ms=25.0, frame_shift_ms=10.0, n_mels=20),
    "fbank, normalised": Fbank(sample_rate=8000, frame_length_ms=25.0, frame_shift_ms=10.0, n_mels=20, normalize=True),
}


@pytest.mark.parametrize("name", FRONTENDS)
def test_forward_is_the_compressed_spectrogram(name: str) -> None:
    frontend, waveform = FRONTENDS[name], 0.1 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(frontend(waveform), frontend.compress(frontend.spectrogram(waveform)))
    assert (frontend.spectrogram(waveform) >= 0).all()


@pytest.mark.parametrize("frontend", FRONTENDS.values(), ids=FRONTENDS)
def test_n_frames_is_what_comes_out(frontend: AdaptiveSTFT | Fbank) -> None:
    for n_samples in [1, 2, 63, 64, 127, 128, 129, 199, 200, 201, *np.random.default_rng(0).integers(1, 5000, 20)]:
        assert frontend.n_frames(int(n_samples)) == frontend(torch.zeros(1, int(n_samples))).shape[3], n_samples


@pytest.mark.parametrize("n_fft", [5, 8, 33, 100])
@pytest.mark.parametrize("center", [True, False])
def test_n_frames_of_odd_sizes(n_fft: int, center: bool) -> None:
    layer = AdaptiveSTFT(sample_rate=8000, n_fft=n_fft, hop_length=7, n_mels=None, center=center)
    for n_samples in range(1, 120):
        assert layer.n_frames(n_samples) == layer(torch.zeros(1, n_samples)).shape[3]


@settings(max_examples=40, deadline=None)
@given(data=st.data(), form=st.sampled_from([*FORMS, "bf16"]), n_samples=st.integers(1, 700))
def test_n_frames_and_halves_of_every_form(data: st.DataObject, form: str, n_samples: int) -> None:
    """Also where all has been learned: spectrogram, then compression, is the layer bit for bit."""
    knobs: dict[str, Any] = {"precision": "bf16"} if form == "bf16" else {}
    n_fft = data.draw(st.sampled_from([16, 33, 64, 100]))
    knobs |= {"hop_length": data.draw(st.integers(1, 90)), "win_length": data.draw(st.integers(2, n_fft))}
    knobs |= {"center": data.draw(st.booleans()), "power": data.draw(st.sampled_from([1, 2])), "n_fft": n_fft}
    learned = {"learn_window": True} if data.draw(st.booleans()) else {**LEARN_ALL, "n_mels": 4}
    layer = perturb(build("dense" if form == "bf16" else form, **({"n_mels": None} | knobs | learned)))
    waveform = 0.3 * torch.randn(2, n_samples, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        spectrogram = layer.spectrogram(waveform)
        assert spectrogram.shape == (2, layer.n_channels, layer.n_features, layer.n_frames(n_samples))
        assert (spectrogram >= 0).all()
        assert torch.equal(layer.compress(spectrogram), layer(waveform))


@settings(max_examples=40, deadline=None)
@given(
    rate=st.sampled_from([1000, 8000, 11_025, 22_050, 44_100]),
    length_ms=st.floats(2.5, 60),
    shift_ms=st.floats(1.1, 60),
    n_samples=st.integers(1, 5000),
    normalize=st.booleans(),
)
def test_n_frames_and_halves_of_any_fbank(
    rate: int, length_ms: float, shift_ms: float, n_samples: int, normalize: bool
) -> None:
    fbank = Fbank(sample_rate=rate, frame_length_ms=length_ms, frame_shift_ms=shift_ms, n_mels=4, normalize=normalize)
    waveform = 0.3 * torch.randn(2, n_samples, generator=torch.Generator().manual_seed(0))
    spectrogram = fbank.spectrogram(waveform)
    assert spectrogram.shape == (2, 1, 4, fbank.n_frames(n_samples))
    assert torch.equal(fbank.compress(spectrogram), fbank(waveform))
