"""Section frontend: waveform to spectrogram."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from adaspec.config.types import Count, NonNegative, Positive, Real, Section, Switch, Text

__all__ = ["CompressionConfig", "FbankConfig", "FrontendConfig", "KernelsConfig", "MelConfig", "PcenConfig"]


class MelConfig(Section):
    """Bands of the STFT."""

    n_mels: Annotated[int, Field(ge=4, le=1024, strict=True)] | None
    """Number of bands; null = linear frequency."""
    f_min: NonNegative
    """Lower end of the bands, Hz."""
    f_max: Positive | None
    """Upper end of the bands, Hz; null = half the sample rate."""
    scale: Literal["htk", "slaney", "erb", "bark", "linear", "log"]
    """On which bands are spaced evenly: mel, logarithmic from 700 Hz on (htk) or from 1 kHz on (slaney), ERB rate,
    Bark, linear, or logarithmic (with f_min above 0)."""
    norm: Literal["slaney"] | None
    """Bands of height 1 (null), or of area 1 (slaney)."""
    form: Literal["parametric", "free"]
    """What is learned of them: places and widths of the triangles, or each of their weights; read where
    frontend.learn_mel is true."""
    smooth: Count
    """Bands from one learned number of the parametric form to the next; between them it is interpolated."""
    placement: Literal["sensitivity", "gradient"]
    """What moves bands of the parametric form: how sensitive the loss is to each, or the loss's gradient."""


class PcenConfig(Section):
    """Per-channel energy normalisation; read where frontend.compression.name is pcen. All but the last three can be
    learned, and start here."""

    time_constant_s: Annotated[Real, Field(gt=0, le=1000)]
    """Of the smoothing that says how loud a band is, s."""
    gain: Annotated[Real, Field(gt=0, le=4)]
    """How much of a band's level is taken away: 1 = all of it."""
    bias: Positive
    """Level, after the gain, up to which the compression is linear."""
    power: Annotated[Real, Field(gt=0, le=4)]
    """Of the compression above the bias."""
    eps: Positive
    """Level of gamma S below which nothing is lifted."""
    initial: NonNegative | None
    """Level of gamma S before the first frame; null = that of the first frame, so that no window begins with an
    onset."""
    shared: Switch
    """Learn one value for all bands."""


class CompressionConfig(Section):
    """Compression of the spectrogram S."""

    name: Literal["log10", "log1p", "db", "none", "pcen"]
    """log10(1 + gamma S), ln(1 + gamma S), decibels with a floor at 1/gamma, none, or per-channel energy normalisation,
    an automatic gain control in every band."""
    gamma: Positive
    """Where the logarithm bends: at S = 1/gamma. PCEN takes gamma S."""
    pcen: PcenConfig


class KernelsConfig(Section):
    """Learned kernels; read where frontend.learn_kernels is true."""

    form: Literal["dense", "banded", "parametric"]
    """n_fft x n_fft numbers in place of the FFT; weights that mix each bin with its neighbours after it; or a frequency
    shift, a chirp rate and a window length of each bin."""
    band_width: Count
    """Bins that banded kernels mix into one, itself included; odd."""
    smooth: Count
    """Bins from one number of parametric kernels to the next; between them they are interpolated."""
    constraint: Literal["free", "unit_norm", "orthonormal"]
    """What dense kernels are kept to."""
    precision: Literal[32, "bf16"]
    """Of the matrix product with dense or parametric kernels."""


class FixedSection(Section):
    """Settings of a front end that learns nothing, so that its spectrogram is stored."""

    stored: ClassVar[tuple[str, ...]]
    """Those that decide what is stored."""


class FbankConfig(FixedSection):
    """Kaldi's log-mel filterbank."""

    stored = ("frame_length_ms", "frame_shift_ms", "n_mels")

    frame_length_ms: Annotated[Real, Field(gt=0, le=1000)]
    """Hann window, ms; the FFT is the next power of two (512 at 16 kHz)."""
    frame_shift_ms: Annotated[Real, Field(ge=1, le=1000)]
    """Hop, ms."""
    n_mels: Annotated[int, Field(ge=4, le=1024, strict=True)]
    """Bands from 20 Hz to half the sample rate."""
    normalize: Switch
    """Bring each window to mean 0 and standard deviation 1."""


class FixedConfig(Section):
    """Front ends that learn nothing, each with a section of its name; read where frontend.name is that name."""

    fbank: FbankConfig


class FrontendConfig(Section):
    """Waveform to spectrogram. The keys beside the sub-sections are those of the STFT."""

    name: Literal["stft", "fbank"]
    """stft: short-time Fourier transform on waveforms, which can learn; fbank: Kaldi's filterbank, fixed and stored."""
    cached: Switch
    """Compute the spectrograms of an STFT of which at most the compression is learned once, before training."""
    n_fft: Annotated[int, Field(ge=4, le=65_536, strict=True)]
    """Length of the transform, samples."""
    win_length: Annotated[int, Field(ge=2, le=65_536, strict=True)] | None
    """Length of the window, samples; null = n_fft."""
    hop_length: Count
    """Distance of frames, samples."""
    window: Text | Annotated[tuple[Text | Real, ...], Field(min_length=1, max_length=8)]
    """Any of scipy.signal.get_window; with a parameter as a list: [kaiser, 14.0]."""
    center: Switch
    """Frame i lies around sample i * hop_length, ends reflected; false = frames lie within the clip."""
    power: Annotated[int, Field(ge=1, le=2, strict=True)]
    """2: power, 1: magnitude."""
    phase: Literal["none", "group_delay"]
    """group_delay: a second channel for each transform, which tells where within a frame the energy of a band lies,
    from -1 to 1; with power 2."""
    n_transforms: Literal[1, 3]
    """Transforms side by side, as channels; three need a window_ratio below 1, or to learn."""
    window_ratio: Annotated[Real, Field(gt=0, le=1)]
    """Window length of each further transform to that of the one before it."""
    learn_window: Switch
    """Learn the window."""
    learn_length: Switch
    """Learn the length of the window."""
    learn_kernels: Switch
    """Learn the kernels: the rows of the DFT matrix."""
    learn_mel: Switch
    """Learn the mel bands."""
    learn_compression: Switch
    """Learn the compression: time constant, gain, bias and power of PCEN."""
    length_groups: Count
    """Groups of neighbouring mel bands whose window lengths are learned apart, each with an FFT."""
    window_nonnegative: Switch
    """Keep a learned window at 0 or above."""
    window_symmetric: Switch
    """Keep a learned window its own mirror image."""
    mel: MelConfig
    compression: CompressionConfig
    kernels: KernelsConfig
    fixed: FixedConfig

    @property
    def section(self) -> FixedSection | None:
        """The settings of a front end that learns nothing; None where it is the STFT."""
        own: FixedSection | None = getattr(self.fixed, self.name, None)
        return own

    @property
    def n_features(self) -> int:
        """Height of the spectrogram."""
        bands: Any = self.mel if self.section is None else self.section
        n_mels: int | None = bands.n_mels
        return self.n_fft // 2 + 1 if n_mels is None else n_mels

    @property
    def learns(self) -> bool:
        """Whether anything is to be learned."""
        return self.learns_spectrogram or self.learn_compression

    @property
    def learns_spectrogram(self) -> bool:
        """Whether anything before the compression is to be learned."""
        return self.learn_window or self.learn_length or self.learn_kernels or self.learn_mel

    @property
    def sees_waveforms(self) -> bool:
        """Whether training sees waveforms, rather than spectrograms that were computed once."""
        return self.section is None and not self.cached

    @property
    def caches(self) -> bool:
        """Whether training computes the spectrograms of stored waveforms once, before it begins."""
        return self.section is None and self.cached

    @model_validator(mode="after")
    def _check(self) -> Self:
        fixed = self.section is not None
        if fixed and self.learns:
            raise ValueError(f"name={self.name} is computed once and cannot learn; set name=stft, or learn_* to false")
        if self.caches and self.learns_spectrogram:
            raise ValueError("cached=true computes the spectrograms once, but they are to be learned; set it to false")
        if not fixed and self.learn_compression and self.compression.name != "pcen":
            raise ValueError(
                f"learn_compression=true needs parameters, and compression.name={self.compression.name} has none; set "
                "compression.name=pcen, or learn_compression=false"
            )
        if not fixed and self.n_transforms > 1 and self.window_ratio == 1 and not self.learns:
            raise ValueError(
                f"n_transforms={self.n_transforms} would all be the same; set window_ratio below 1, or let them learn"
            )
        return self
