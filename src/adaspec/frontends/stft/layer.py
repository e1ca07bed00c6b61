"""Short-time Fourier transform whose window, kernels and mel bands can be learned."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from adaspec.errors import SettingError
from adaspec.frontends.compression import Compression, compress
from adaspec.frontends.mel import MelNorm, MelScale, mel_bands
from adaspec.frontends.stft.baked import BakedSTFT, refuse_onnx_export
from adaspec.frontends.stft.constraints import KernelConstraint, constrain_kernels, nonnegative, symmetric
from adaspec.frontends.stft.dft import complex_rows, dft_basis, dft_rows
from adaspec.frontends.stft.mixing import identity_mixing, mixed_rows, mixing_blocks
from adaspec.frontends.stft.portions import Framing, Transform, in_bands
from adaspec.frontends.stft.settings import centred_window, check_settings, window_length

__all__ = ["AdaptiveSTFT"]


class AdaptiveSTFT(nn.Module):
    """Power, magnitude or (log-)mel spectrogram that starts as the STFT and can learn.

    What can be learned: the window, the kernels (the rows of the DFT matrix) and the mel bands, in one transform or in
    several side by side. Before any learning the layer is the STFT, whatever is to be learned and however it is
    constrained. Where the kernels are fixed it is computed by FFT; where they are learned, by one matrix product
    ("dense") or by an FFT whose neighbouring bins are then mixed ("banded").

    Parameters
    ----------
    sample_rate : int
        In Hz.
    n_fft, hop_length : int
        In samples.
    win_length : int or None
        In samples, at most n_fft, within which the window is centred; None is n_fft.
    window : str or tuple
        As `scipy.signal.get_window` takes it; periodic.
    center : bool
        Centre frame i on sample i * hop_length and reflect the waveform's ends; otherwise the first frame begins with
        the first sample and the last ends within the waveform.
    power : {1, 2}
        Magnitude or power; of the magnitude the root is taken of |X|^2 + 1e-12.
    n_mels : int or None
        Mel bands; None keeps the n_fft//2 + 1 linear bins.
    f_min, f_max : float, float or None
        Range of the mel bands in Hz; None is half the sample rate.
    mel_scale : {"htk", "slaney"}
    mel_norm : {"slaney"} or None
        Bands of area 1 (in Hz), or of height 1.
    compression : {"log10", "log1p", "db", "none"}
        Of the spectrogram S: log10(1 + gamma S), ln(1 + gamma S), decibels with a floor, 10 log10(max(S, 1/gamma)),
        which with power=1 are 20 log10(max(S, 1/gamma)); or S as it is.
    gamma : float
        Of the compression, above 0.
    n_transforms : int
        Transforms side by side: channels of the output.
    window_ratio : float
        Window length of each further transform to that of the one before it, 0 < ratio <= 1.
    learn_window, learn_kernels, learn_mel : bool
        What is learned. Attributes of these names switch it on or off later; what was learned until then stays.
    kernel_form : {"dense", "banded"}
        Learned kernels: n_fft x n_fft numbers, or for every bin the complex weights of its neighbours after the FFT.
    band_width : int
        Banded kernels: bins that are mixed into one, itself included; odd.
    kernel_constraint : {"free", "unit_norm", "orthonormal"}
        Dense kernels: rows kept to the DFT's norms, or besides at right angles to each other. The window comes after.
    window_nonnegative, window_symmetric : bool
        Constraints of the window.
    precision : {32, "bf16"}
        Of the matrix product with dense learned kernels; its sums are float32. All else is computed in float32, or
        float64 where waveform or layer are.

    Attributes
    ----------
    n_channels, n_features, hop_length, power : int

    Shapes
    ------
    (batch, n_samples) -> (batch, n_transforms, n_features, n_frames). n_frames = 1 + n_samples // hop_length (n_samples
    - 1 for odd n_fft) if centred, else 1 + (n_samples - n_fft) // hop_length. Waveforms too short for reflection or for
    a frame are filled up with zeros.

    Raises
    ------
    SettingError
        A setting is out of range or contradicts another; it names the argument.

    Examples
    --------
    >>> layer = AdaptiveSTFT(sample_rate=22050, n_mels=64, learn_window=True)
    >>> layer(torch.zeros(2, 22050)).shape
    torch.Size([2, 1, 64, 44])
    """

    mel_gains: Tensor

    def __init__(
        self,
        *,
        sample_rate: int,
        n_fft: int = 1024,
        win_length: int | None = None,
        hop_length: int = 512,
        window: str | tuple[Any, ...] = "hann",
        center: bool = True,
        power: Literal[1, 2] = 2,
        n_mels: int | None = 64,
        f_min: float = 0.0,
        f_max: float | None = None,
        mel_scale: MelScale = "htk",
        mel_norm: MelNorm | None = None,
        compression: Compression = "log10",
        gamma: float = 1e6,
        n_transforms: int = 1,
        window_ratio: float = 1.0,
        learn_window: bool = False,
        learn_kernels: bool = False,
        learn_mel: bool = False,
        kernel_form: Literal["dense", "banded"] = "dense",
        band_width: int = 9,
        kernel_constraint: KernelConstraint = "free",
        window_nonnegative: bool = False,
        window_symmetric: bool = False,
        precision: Literal[32, "bf16"] = 32,
    ) -> None:
        super().__init__()
        win_length = n_fft if win_length is None else win_length
        f_max = sample_rate / 2 if f_max is None else f_max
        check_settings(locals())  # all arguments by their names, so that no check can be given another's

        self.sample_rate, self.n_fft, self.win_length, self.hop_length = sample_rate, n_fft, win_length, hop_length
        self.framing = Framing(n_fft, hop_length, center, power == 1, precision == "bf16")
        self.compression, self.gamma = compression, gamma
        self.n_channels, self.n_features, self.power = n_transforms, n_mels or n_fft // 2 + 1, power
        self.kernel_form, self.band_width, self.kernel_constraint = kernel_form, band_width, kernel_constraint
        self.window_nonnegative, self.window_symmetric = window_nonnegative, window_symmetric

        # All that learning could change is a parameter from the start, and saved: fixed ones ask for no gradient.
        lengths = [window_length(win_length, window_ratio**position) for position in range(n_transforms)]
        self.window = nn.Parameter(torch.stack([centred_window(window, length, win_length) for length in lengths]))
        self.kernels: nn.Parameter | None = None  # (n_transforms, ...), once they are learned
        self.mel: nn.Parameter | None = None
        if n_mels is not None:
            bands, gains = mel_bands(sample_rate, n_fft, n_mels, f_min, f_max, mel_scale, mel_norm)
            self.mel = nn.Parameter(bands.repeat(n_transforms, 1, 1))
            self.register_buffer("mel_gains", gains, persistent=False)
        if (self.effective_window() - self.window).abs().max() > 1e-6:
            hint = ", or set window_ratio to 1" if len(set(lengths)) > 1 else ""
            raise SettingError(
                "window",
                f"={window!r} of length {' and '.join(map(str, lengths))} is not what window_nonnegative="
                f"{window_nonnegative} and window_symmetric={window_symmetric} ask for; switch off the one it violates"
                f"{hint}",
            )
        self.learn_window, self.learn_kernels, self.learn_mel = learn_window, learn_kernels, learn_mel

    @property
    def learn_window(self) -> bool:
        """Whether the window is learned."""
        return self.window.requires_grad

    @learn_window.setter
    def learn_window(self, on: bool) -> None:
        self.window.requires_grad_(on)

    @property
    def learn_kernels(self) -> bool:
        """Whether the kernels are learned."""
        return self.kernels is not None and self.kernels.requires_grad

    @learn_kernels.setter
    def learn_kernels(self, on: bool) -> None:
        if on and self.kernels is None:
            if self.kernel_form == "dense":
                start = dft_basis(self.n_fft)
            else:
                start = identity_mixing(self.n_fft // 2 + 1, self.band_width)
            self.kernels = nn.Parameter(start.to(self.window).repeat(self.n_channels, 1, *[1] * (start.ndim - 1)))
        if self.kernels is not None:
            self.kernels.requires_grad_(on)

    @property
    def learn_mel(self) -> bool:
        """Whether the mel bands are learned."""
        return self.mel is not None and self.mel.requires_grad

    @learn_mel.setter
    def learn_mel(self, on: bool) -> None:
        if self.mel is not None:
            self.mel.requires_grad_(on)
        elif on:
            raise SettingError("learn_mel", "=True needs mel bands, but there are none; set n_mels")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Kernels that were learned elsewhere are taken over, and stay fixed where nothing is to be learned.
        if f"{prefix}kernels" in state_dict and self.kernels is None:
            self.learn_kernels = True
            self.learn_kernels = False
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def learned(self) -> tuple[str, ...]:
        """What is being learned."""
        switches = {"window": self.learn_window, "kernels": self.learn_kernels, "mel": self.learn_mel}
        return tuple(name for name, on in switches.items() if on)

    def extra_repr(self) -> str:
        return (
            f"n_fft={self.n_fft}, win_length={self.win_length}, hop_length={self.hop_length}, "
            f"n_channels={self.n_channels}, n_features={self.n_features}, learned={self.learned}"
        )

    def effective_window(self) -> Tensor:
        """Window with its constraints: (n_transforms, win_length)."""
        window: Tensor = symmetric(self.window) if self.window_symmetric else self.window
        return nonnegative(window) if self.window_nonnegative else window

    def effective_mel(self) -> Tensor | None:
        """Mel bands (n_transforms, n_fft//2 + 1, n_mels), never negative."""
        return None if self.mel is None else nonnegative(self.mel) * self.mel_gains

    def filters(self, *, windowed: bool = True) -> Tensor:
        """Filters that the layer applies to a frame, with their constraints.

        Parameters
        ----------
        windowed : bool
            With the window; otherwise the kernels alone.

        Returns
        -------
        Tensor of shape (n_transforms, n_fft//2 + 1, n_fft), complex
            The spectrum's bin k is row k times the frame.
        """
        window = self._padded_window() if windowed else self.window.new_ones(self.n_channels, self.n_fft)
        window = window.to(torch.promote_types(window.dtype, torch.float32))  # as in `forward`
        if self.kernels is None:
            rows = dft_rows(self.n_fft, 0, window)
        elif self.kernel_form == "dense":
            rows = complex_rows(constrain_kernels(self.kernels.to(window.dtype), self.kernel_constraint))
        else:
            rows = mixed_rows(self.kernels.to(window.dtype), self.n_fft)
        return rows * window[:, None]

    def bake(self) -> BakedSTFT:
        """Return a module of one plain Conv1d that gives the same output, for use where learning is over."""
        with torch.no_grad():
            return BakedSTFT(self.filters(), self.effective_mel(), self.framing, self.compression, self.gamma)

    def for_export(self) -> nn.Module:
        """Return what ONNX can hold, which has neither QR nor, on the CPU, products in bf16."""
        return self if self.kernels is None else self.bake()

    def n_frames(self, n_samples: int) -> int:
        """Frames of a waveform of n_samples."""
        padded = n_samples + 2 * (self.n_fft // 2) if self.framing.center else n_samples
        return 1 + max(0, padded - self.n_fft) // self.hop_length

    def forward(self, waveform: Tensor) -> Tensor:
        return self.compress(self.spectrogram(waveform))

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """What `forward` compresses: power or magnitude in each band, shaped as its output, never negative."""
        if waveform.ndim != 2 or 0 in waveform.shape:
            raise ValueError(
                f"waveform must have shape (batch, n_samples), neither of them 0, got {tuple(waveform.shape)}"
            )
        # bf16 holds 8 bits: under autocast too, only the product with the kernels may be computed in it.
        with torch.autocast(waveform.device.type, enabled=False):
            dtype = torch.promote_types(torch.promote_types(waveform.dtype, self.window.dtype), torch.float32)
            waveform = waveform.to(dtype)
            transforms = self._transforms(dtype)
            bands = torch.stack([in_bands(waveform, transform, self.framing) for transform in transforms], 1)
            return bands.transpose(2, 3)

    def compress(self, spectrogram: Tensor) -> Tensor:
        """Second half of `forward`: from the spectrogram to a scale that a network can use."""
        with torch.autocast(spectrogram.device.type, enabled=False):
            return compress(spectrogram, self.compression, self.gamma, magnitude=self.framing.magnitude)

    def _padded_window(self) -> Tensor:
        left = (self.n_fft - self.win_length) // 2
        return nn.functional.pad(self.effective_window(), (left, self.n_fft - self.win_length - left))

    def _transforms(self, dtype: torch.dtype) -> list[Transform]:
        """Tensors of each transform, computed anew for every call: none can be out of date."""
        windows, mel = self._padded_window().to(dtype), self.effective_mel()
        none: list[Tensor | None] = [None] * self.n_channels
        kernels = blocks = none
        if self.kernels is not None and self.kernel_form == "banded":
            blocks = [mixing_blocks(weights) for weights in self.kernels.to(dtype)]
        elif self.kernels is not None:
            refuse_onnx_export("kernel_constraint=orthonormal", self.kernel_constraint == "orthonormal")
            refuse_onnx_export("precision=bf16", self.framing.bf16)
            kernels = list(constrain_kernels(self.kernels.to(dtype), self.kernel_constraint))
        mels = none if mel is None else list(mel.to(dtype))
        return [Transform(*tensors) for tensors in zip(windows, kernels, blocks, mels, strict=True)]
