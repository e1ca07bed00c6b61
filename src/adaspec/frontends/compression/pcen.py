"""Per-channel energy normalisation: an automatic gain control in every band, whose settings can be learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from adaspec.frontends.compression.smoothing import accumulate
from adaspec.frontends.epsilon import plus_epsilon

__all__ = ["PCEN"]


class PCEN(nn.Module):
    """Divide each band by what it was like shortly before, then compress.

    Of a spectrogram S, with G = scale * S and M its smoothed past, M[t] = (1 - s) M[t-1] + s G[t]:

        (G / (eps + M)^gain + bias)^power - bias^power

    The smoothing's coefficient s follows from the time constant, T frames long: s = (sqrt(1 + 4 T^2) - 1) / (2 T^2).
    Four settings can be learned, in each band: the parameters hold the logarithm of their ratio to where they start, so
    that all are 0 at the start, the settings stay above 0, and a step of 0.01 is a change of one percent.
    `requires_grad_` switches the learning on or off.

    Parameters
    ----------
    n_channels, n_features : int
        Of the spectrograms.
    frame_rate : float
        Frames per second: sample rate over hop length.
    scale : float
        From S to G, above 0: the defaults of the others are for recordings of 16 bits, whose samples reach 32768.
    time_constant_s : float
        Of the smoothing, in s, above 0.
    gain : float
        0 leaves loudness as it is, 1 takes all of it away; above 0.
    bias, power : float
        Of the compression, above 0: it is linear well below `bias`, and a power well above it.
    eps : float
        What is quieter in G is not lifted; above 0.
    initial : float or None
        M before the first frame, at least 0. None is the first frame's own G, so that a recording does not begin with
        an onset; librosa begins with 1.
    shared : bool
        One value of each learned setting for all bands of a channel.

    Attributes
    ----------
    log_time_constant, log_gain, log_bias, log_power : Parameter of shape (n_channels, n_features or 1)
        Log ratios to the start.

    Shapes
    ------
    (batch, n_channels, n_features, n_frames), not negative -> the same.

    References
    ----------
    Y. Wang et al., "Trainable frontend for robust and far-field keyword spotting", ICASSP 2017, eqs. 1 and 2,
    https://arxiv.org/abs/1607.05666
    V. Lostanlen et al., "Per-channel energy normalization: why and how", IEEE Signal Processing Letters 26(1), 2019
    librosa.pcen (B. McFee et al.): the coefficient of a time constant, the defaults
    """

    rates: ClassVar[Mapping[str, float]] = {
        name: 0.01 for name in ("log_time_constant", "log_gain", "log_bias", "log_power")
    }

    def __init__(
        self,
        *,
        n_channels: int,
        n_features: int,
        frame_rate: float,
        scale: float = 1e6,
        time_constant_s: float = 0.4,
        gain: float = 0.98,
        bias: float = 2.0,
        power: float = 0.5,
        eps: float = 1e-6,
        initial: float | None = None,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self.frame_rate, self.scale, self.eps, self.initial = frame_rate, scale, eps, initial
        self.start = {"time_constant": time_constant_s, "gain": gain, "bias": bias, "power": power}
        shape = n_channels, 1 if shared else n_features
        self.log_time_constant = nn.Parameter(torch.zeros(shape))
        self.log_gain = nn.Parameter(torch.zeros(shape))
        self.log_bias = nn.Parameter(torch.zeros(shape))
        self.log_power = nn.Parameter(torch.zeros(shape))

    def extra_repr(self) -> str:
        start = ", ".join(f"{name}={value:g}" for name, value in self.start.items())
        return f"scale={self.scale:g}, {start}, eps={self.eps:g}, initial={self.initial}"

    def settings(self) -> dict[str, Tensor]:
        """Values in use of "time_constant" (in s), "gain", "bias" and "power": (n_channels, n_features or 1) each."""
        return {name: value * getattr(self, f"log_{name}").exp() for name, value in self.start.items()}

    def measures(self) -> dict[str, Tensor]:
        """`settings` in float64, with "time_constant_ms" in place of "time_constant"."""
        values = {name: value * getattr(self, f"log_{name}").double().exp() for name, value in self.start.items()}
        return {"time_constant_ms": 1000 * values.pop("time_constant"), **values}

    def forward(self, spectrogram: Tensor, state: Tensor | None = None) -> Tensor:
        return self.stream(spectrogram, state)[0]

    def stream(self, spectrogram: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compress a piece of a stream, and tell the state to compress the next piece with.

        A stream is cut between frames, anywhere; pieces put side by side are then what the whole would give. Waveforms
        are cut so that each frame is computed once: without centring, a piece begins hop_length samples after the
        begin of the last frame before it.

        Parameters
        ----------
        spectrogram : Tensor of shape (batch, n_channels, n_features, n_frames)
            At least one frame, not negative.
        state : Tensor of shape (batch, n_channels, n_features, 1), optional
            What this method returned for the piece before; None where there is none.

        Returns
        -------
        compressed : Tensor of the shape of `spectrogram`
        state : Tensor of the shape of `state`
            M after the last frame.
        """
        dtype = torch.promote_types(torch.promote_types(spectrogram.dtype, self.log_gain.dtype), torch.float32)
        # (n_channels, n_features, batch, n_frames), as the smoothing takes it: all then lies alike in memory.
        scaled = (self.scale * spectrogram.to(dtype)).permute(1, 2, 0, 3).contiguous()
        if state is not None:
            before = state.to(dtype).permute(1, 2, 0, 3)
        else:
            before = scaled[..., :1] if self.initial is None else torch.full_like(scaled[..., :1], self.initial)
        settings = {name: value.to(dtype) for name, value in self.settings().items()}
        smoothed = self._smooth(scaled, before, settings["time_constant"])
        gain, bias, power = (settings[name][..., None, None] for name in ("gain", "bias", "power"))
        # G / ((eps + M)^gain bias); log1p and expm1 are exact where it is small, and have a gradient at silence.
        loudness = scaled * torch.addcmul(-bias.log(), -gain, plus_epsilon(smoothed, self.eps).log()).exp()
        compressed = bias**power * (power * loudness.log1p()).expm1()
        return compressed.permute(2, 0, 1, 3), smoothed[..., -1:].permute(2, 0, 1, 3)

    def _smooth(self, scaled: Tensor, before: Tensor, time_constant_s: Tensor) -> Tensor:
        """M of G (n_channels, n_features, batch, n_frames), from the M before its first frame."""
        n_frames = self.frame_rate * time_constant_s
        # s, and ln(1 - s), in forms that cancel nothing, however short or long the time constant.
        coefficient = 2 / (1 + (1 + 4 * n_frames.square()).sqrt())
        log_decay = -2 * (0.5 / n_frames).asinh()
        # The state goes in as one more frame, which from then on decays as all others do.
        inputs = torch.cat([before, coefficient[..., None, None] * scaled], -1)
        return accumulate(inputs, log_decay)[..., 1:]
