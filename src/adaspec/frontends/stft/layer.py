"""Short-time Fourier transform whose window, kernels and mel bands can be learned."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from adaspec.errors import SettingError
from adaspec.frontends.compression import Compressed, Compression, build_compression, pcen_settings
from adaspec.frontends.mel import MEL_FORMS, MelForm, MelNorm, MelScale, Placement, Triangles
from adaspec.frontends.stft.baked import BakedSTFT, refuse_onnx_export
from adaspec.frontends.stft.bounds import unevenness
from adaspec.frontends.stft.framing import Framing, as_clips
from adaspec.frontends.stft.inverse import inverse, spectrum
from adaspec.frontends.stft.kernels import BandedKernels, DenseKernels, KernelConstraint, Kernels, ParametricKernels
from adaspec.frontends.stft.parts import PARTS, Switch, filters_of, measures_of, rates_of, transforms
from adaspec.frontends.stft.phase import SLOPES, Phase, paired, per_channel, sloped, with_delay
from adaspec.frontends.stft.portions import in_bands
from adaspec.frontends.stft.settings import check_settings
from adaspec.frontends.stft.window import Length, starting_window, window_length

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
    mel_scale : {"htk", "slaney", "erb", "bark", "linear", "log"}
    mel_norm : {"slaney"} or None
        Bands of area 1 (in Hz), or of height 1.
    compression : {"log10", "log1p", "db", "none", "pcen"}
        Of the spectrogram S: log10(1 + gamma S), ln(1 + gamma S), decibels with a floor, 10 log10(max(S, 1/gamma)),
        which with power=1 are 20 log10(max(S, 1/gamma)); S as it is; or `PCEN` of gamma S.
    gamma : float
        Of the compression, above 0.
    pcen_time_constant_s, pcen_gain, pcen_bias, pcen_power, pcen_eps, pcen_initial, pcen_shared
        Of the compression "pcen": arguments of `PCEN` of these names.
    phase : {"none", "group_delay"}
        Two channels for each transform, of late and of early sound; see `EnergyAndDelay`. Needs power=2.
    n_transforms : int
        Transforms side by side, as channels of the output.
    window_ratio : float
        Window length of each further transform to that of the one before it, 0 < ratio <= 1.
    learn_window, learn_length, learn_kernels, learn_mel, learn_compression : bool
        What is learned. Attributes of these names switch it on or off later; what was learned until then stays.
    length_groups : int
        Groups of neighbouring mel bands with a learned window length each, and an FFT.
    mel_form : {"parametric", "free"}
        Learned mel bands: places and widths of triangles, or all weights.
    mel_smooth : int
        Parametric mel bands: bands from one learned number to the next.
    mel_placement : {"gradient", "sensitivity"}
        What moves parametric mel bands: the loss's gradient, or how sensitive the loss is to each.
    kernel_form : {"dense", "banded", "parametric"}
        Learned kernels: n_fft x n_fft numbers; for every bin the complex weights of its neighbours after the FFT; or
        for every bin a shift of its frequency, a chirp rate and a window length.
    band_width : int
        Banded kernels: bins that are mixed into one, itself included; odd.
    mel_smooth, kernel_smooth : int
        Parametric mel bands and kernels: bands or bins from one learned number to the next.
    kernel_constraint : {"free", "unit_norm", "orthonormal"}
        Dense kernels: rows kept to the DFT's norms, or besides at right angles to each other. The window comes after.
    window_nonnegative, window_symmetric : bool
        Constraints of the window.
    precision : {32, "bf16"}
        Of the products with dense or parametric kernels, factors and result, and of the backward pass through the mel
        bands after them. All else is computed in float32, or float64 where waveform or layer are.

    Attributes
    ----------
    n_channels, n_features, hop_length, power : int

    Shapes
    ------
    (batch, n_samples) -> (batch, n_channels, n_features, n_frames). n_frames = 1 + n_samples // hop_length (n_samples
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

    learn_window, learn_length, learn_kernels, learn_mel, learn_compression = (Switch() for _ in PARTS)
    measures = measures_of

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
        pcen_time_constant_s: float = 0.4,
        pcen_gain: float = 0.98,
        pcen_bias: float = 2.0,
        pcen_power: float = 0.5,
        pcen_eps: float = 1e-6,
        pcen_initial: float | None = None,
        pcen_shared: bool = False,
        phase: Phase = "none",
        n_transforms: int = 1,
        window_ratio: float = 1.0,
        learn_window: bool = False,
        learn_length: bool = False,
        learn_kernels: bool = False,
        learn_mel: bool = False,
        learn_compression: bool = False,
        length_groups: int = 1,
        mel_form: MelForm = "parametric",
        mel_smooth: int = 4,
        mel_placement: Placement = "gradient",
        kernel_form: Literal["dense", "banded", "parametric"] = "dense",
        band_width: int = 9,
        kernel_smooth: int = 1,
        kernel_constraint: KernelConstraint = "free",
        window_nonnegative: bool = False,
        window_symmetric: bool = False,
        precision: Literal[32, "bf16"] = 32,
    ) -> None:
        super().__init__()
        win_length = n_fft if win_length is None else win_length
        f_max = sample_rate / 2 if f_max is None else f_max
        check_settings(locals())  # all arguments by their names, so that no check can be given another's
        pcen = pcen_settings(locals())
        self.sample_rate, self.n_fft, self.win_length, self.hop_length = sample_rate, n_fft, win_length, hop_length
        self.framing = Framing(n_fft, hop_length, center, power == 1, precision == "bf16")
        self.power, self.phase, self.n_channels = power, phase, n_transforms * len(SLOPES[phase])
        self.left = (n_fft - win_length) // 2  # samples of a frame before the window
        centre = self.left + win_length / 2
        # Window and bands are there from the start, and saved: fixed ones ask for no gradient.
        lengths = [window_length(win_length, window_ratio**position) for position in range(n_transforms)]
        kept = {"nonnegative": window_nonnegative, "symmetric": window_symmetric}
        self.window = starting_window(window, lengths, win_length, **kept)
        self.mel = None
        if n_mels is not None:
            triangles = Triangles(sample_rate, n_fft, n_mels, f_min, f_max, mel_scale, mel_norm)
            self.mel = MEL_FORMS[mel_form](triangles, n_transforms, mel_smooth, mel_placement)
        self.n_features = n_mels or n_fft // 2 + 1
        of = Compressed(n_transforms, self.n_features, sample_rate / hop_length, power == 1, gamma)
        self.compression = with_delay(build_compression(compression, of, **pcen), phase, 1 / gamma)
        # Lengths and kernels come into being once they are learned; no lambdas, so that a layer can be pickled.
        self.length: Length | None = None
        self.kernels: Kernels | None = None
        self._forms: dict[str, Callable[[], nn.Module]] = {
            "length": partial(Length, lengths, n_fft, length_groups, sample_rate),
            "dense": partial(DenseKernels, n_transforms, n_fft, kernel_constraint),
            "banded": partial(BandedKernels, n_transforms, n_fft, band_width),
            "parametric": partial(ParametricKernels, n_transforms, n_fft, lengths, centre, kernel_smooth, sample_rate),
        }
        self._forms["kernels"] = self._forms[kernel_form]
        self.learn_window, self.learn_length = learn_window, learn_length
        self.learn_kernels, self.learn_mel, self.learn_compression = learn_kernels, learn_mel, learn_compression

    def switch(self, part: str, on: bool) -> None:
        """Begin or end to learn one of `PARTS`; what was learned until then stays. SettingError if it cannot learn."""
        if getattr(self, part) is None and on:
            if part == "mel":
                raise SettingError("learn_mel", "=True needs mel bands, but there are none; set n_mels")
            setattr(self, part, self._forms[part]().to(self.window.values))
        module: nn.Module | None = getattr(self, part)
        if module is not None:
            module.requires_grad_(on)
        if on and module is self.compression and not self.learn_compression:
            raise SettingError("learn_compression", "=True needs a compression that can learn; set compression=pcen")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # What was learned elsewhere is taken over, and stays fixed where nothing is to be learned.
        for part in ("length", "kernels"):
            if getattr(self, part) is None and any(key.startswith(f"{prefix}{part}.") for key in state_dict):
                self.switch(part, True)
                self.switch(part, False)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def learned(self) -> tuple[str, ...]:
        """What is being learned."""
        return tuple(part for part in PARTS if getattr(self, f"learn_{part}"))

    @property
    def rates(self) -> dict[str, float]:
        """Learning rate that suits each parameter, by its name: per step of Adam, in the parameter's own unit."""
        return rates_of(self)

    def extra_repr(self) -> str:
        return (
            f"n_fft={self.n_fft}, win_length={self.win_length}, hop_length={self.hop_length}, "
            f"n_channels={self.n_channels}, n_features={self.n_features}, learned={self.learned}"
        )

    def windows(self, slope: float = 0.0) -> Tensor:
        """Windows as frames are multiplied with them, `sloped`: (n_transforms, n_groups of bands, n_fft)."""
        window = nn.functional.pad(sloped(self.window(), slope), (self.left, self.n_fft - self.win_length - self.left))
        return window[:, None] if self.length is None else self.length(window, self.left + self.win_length / 2)

    def filters(self, *, windowed: bool = True) -> Tensor:
        """Filters that the layer applies to a frame, or the kernels alone; of a phase those between its two channels.

        Returns
        -------
        Tensor of shape (n_transforms * n_groups, n_fft//2 + 1, n_fft), complex
            Row k times the frame is bin k. Transform by transform, and within each one window length after the other.
        """
        windows = self.windows()
        windows = windows.to(torch.promote_types(windows.dtype, torch.float32))  # as in `forward`
        return filters_of(windows if windowed else torch.ones_like(windows), self.kernels)

    def bake(self) -> BakedSTFT:
        """Return a module of one plain Conv1d that gives the same output, for use where learning is over."""
        with torch.no_grad():
            mel = None if self.mel is None else per_channel(self.mel(), self.n_channels)
            filters = filters_of(paired(self.windows, self.phase), self.kernels)
            return BakedSTFT(filters, self.n_channels, mel, self.framing, self.compression)

    def for_export(self) -> nn.Module:
        """Return what ONNX can hold, which has neither QR nor, on the CPU, products in bf16."""
        return self if self.kernels is None else self.bake()

    def penalty(self) -> Tensor | None:
        """How unevenly frames keep energy: `unevenness` of the windows, None where they are not learned."""
        return unevenness(self.windows(), self.hop_length) if self.learn_window or self.learn_length else None

    def n_frames(self, n_samples: int) -> int:
        """Frames of a waveform of n_samples."""
        padded = n_samples + 2 * (self.n_fft // 2) if self.framing.center else n_samples
        return 1 + max(0, padded - self.n_fft) // self.hop_length

    def forward(self, waveform: Tensor) -> Tensor:
        return self.compress(self.spectrogram(waveform))

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """What `forward` compresses: power or magnitude in each band, shaped as its output, never negative."""
        # bf16 holds 8 bits: under autocast too, it is for what `precision` names alone.
        with torch.autocast(waveform.device.type, enabled=False):
            waveform = as_clips(waveform, self.window.values.dtype)
            refuse_onnx_export("precision=bf16", self.framing.bf16 and self.kernels is not None)
            channels = [
                torch.cat([in_bands(waveform, group, self.framing) for group in transform], -1)
                for transform in transforms(paired(self.windows, self.phase).to(waveform.dtype), self.kernels, self.mel)
            ]
            spectrogram = torch.stack(channels, 1).transpose(2, 3)
            return spectrogram if self.mel is None else self.mel.observed(spectrogram)

    def spectrum(self, waveform: Tensor) -> Tensor:
        """Complex bins before power and bands: (batch, n_transforms, n_fft//2 + 1, n_frames); see `stft.inverse`."""
        return spectrum(self, waveform)

    def inverse(self, bins: Tensor, n_samples: int | None = None) -> Tensor:
        """Waveforms (batch, n_transforms, n_samples) of what `spectrum` returns; see `stft.inverse`."""
        return inverse(self, bins, n_samples)

    def compress(self, spectrogram: Tensor) -> Tensor:
        """Second half of `forward`: from the spectrogram to a scale that a network can use."""
        with torch.autocast(spectrogram.device.type, enabled=False):
            return self.compression(spectrogram)
