"""Learned front ends of other packages, built for the same work as far as they can do it.

    pip install nnAudio nnAudio2 dstft diffsptk hybra

EfficientLEAF is no package: clone https://github.com/CPJKU/EfficientLEAF and put it on PYTHONPATH.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Callable
from typing import Any

import torchaudio
from torch import Tensor, nn

__all__ = ["SETTINGS", "available", "versions"]

SAMPLE_RATE, N_FFT, HOP_LENGTH, N_MELS = 22_050, 1024, 512, 128
SETTINGS = {"sample_rate": SAMPLE_RATE, "n_fft": N_FFT, "hop_length": HOP_LENGTH, "n_mels": N_MELS}


def _torchaudio(waveform: Tensor) -> nn.Module:
    return torchaudio.transforms.MelSpectrogram(**SETTINGS)


def _nnaudio(package: str) -> Callable[[Tensor], nn.Module]:
    """Cosine and sine kernels as convolutions, all values learned."""

    def build(waveform: Tensor) -> nn.Module:
        layer = importlib.import_module(f"{package}.features").MelSpectrogram
        return layer(
            SAMPLE_RATE, N_FFT, n_mels=N_MELS, hop_length=HOP_LENGTH, trainable_STFT=True, htk=True, verbose=False
        )

    return build


def _diffsptk(learnable: list[str]) -> Callable[[Tensor], nn.Module]:
    """The window, or the basis, learned; then fixed mel bands."""

    def build(waveform: Tensor) -> nn.Module:
        import diffsptk

        stft = diffsptk.STFT(
            N_FFT,
            HOP_LENGTH,
            N_FFT,
            mode="reflect",
            window="hanning",
            norm="none",
            symmetric=False,
            learnable=learnable,
        )
        mel = diffsptk.MelFilterBankAnalysis(
            fft_length=N_FFT, n_channel=N_MELS, sample_rate=SAMPLE_RATE, gamma=1, use_power=True
        )
        return nn.Sequential(stft, mel)

    return build


def _dstft(waveform: Tensor) -> nn.Module:
    """One window length for all; its output are bins, no bands."""
    import dstft

    class Spectrogram(dstft.DSTFT):  # type: ignore[misc]
        def forward(self, waveform: Tensor) -> Tensor:
            power, _ = super().forward(waveform)
            return power

    layer = Spectrogram(
        n_fft=N_FFT,
        win_length=0.9 * N_FFT,
        hop_length=HOP_LENGTH,
        window_mode="constant",
        hop_mode="fixed",
        magnitude_power=2.0,
    )
    layer.initialize(waveform)
    return layer


def _hybra(waveform: Tensor) -> nn.Module:
    """Short filters, learned, behind fixed auditory ones; complex coefficients, of which the power is taken."""
    import hybra

    class Power(hybra.HybrA):  # type: ignore[misc]
        def forward(self, waveform: Tensor) -> Tensor:
            return super().forward(waveform).abs().square()

    return Power(fs=SAMPLE_RATE, num_channels=N_MELS, stride=HOP_LENGTH, L=waveform.shape[1], det_init=True)


def _efficientleaf(waveform: Tensor) -> nn.Module:
    """Gabor filters and pooling, learned; without compression."""
    layer = importlib.import_module("model.efficientleaf").EfficientLeaf
    return layer(
        n_filters=N_MELS,
        num_groups=8,
        conv_win_factor=6,
        stride_factor=16,
        max_freq=SAMPLE_RATE / 2,
        sample_rate=SAMPLE_RATE,
        window_stride=1000 * HOP_LENGTH / SAMPLE_RATE,
        compression=nn.Identity(),
    )


PEERS: dict[str, tuple[str, Callable[[Tensor], nn.Module]]] = {  # name -> package, how it is built for waveforms
    "torchaudio": ("torchaudio", _torchaudio),
    "nnaudio": ("nnAudio", _nnaudio("nnAudio")),
    "nnaudio2": ("nnAudio2", _nnaudio("nnAudio2")),
    "dstft": ("dstft", _dstft),
    "diffsptk window": ("diffsptk", _diffsptk(["window"])),
    "diffsptk basis": ("diffsptk", _diffsptk(["basis"])),
    "hybra": ("hybra", _hybra),
    "efficientleaf": ("EfficientLEAF", _efficientleaf),
}


def available(waveform: Tensor) -> dict[str, nn.Module]:
    """Peers that can be imported, built; of each other one a line on stderr."""
    found = {}
    for name, (package, build) in PEERS.items():
        try:
            found[name] = build(waveform)
        except ImportError as error:
            print(f"left out: {name}, as {package} cannot be imported ({error})", file=sys.stderr)
    return found


def versions(names: Any) -> dict[str, str]:
    """Versions of the peers' packages, as far as they have one."""
    packages = {PEERS[name][0] for name in names if name in PEERS} - {"EfficientLEAF"}
    return {package: importlib.metadata.version(package) for package in sorted(packages)}
