"""What the store keeps of a clip, and back: waveforms in 16 bits, or the log spectrogram of a fixed front end.

What is fixed is computed once, what is learned sees its input: windows and kernels that may be learned see waveforms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from adaspec.config import ModelConfig

if TYPE_CHECKING:
    from torch import Tensor

    from adaspec.audio import Samples
    from adaspec.frontends import Frontend

__all__ = [
    "REPRESENTATIONS",
    "Contract",
    "LogSpectrogram",
    "ReadySpectrogram",
    "Representation",
    "Steps",
    "Values",
    "Waveform",
    "feature_contract",
    "representation_of",
    "steps_of",
]

Contract: TypeAlias = dict[str, Any]
Domain: TypeAlias = Literal["waveform", "spectrogram"]
Values: TypeAlias = npt.NDArray[np.int16] | npt.NDArray[np.float16]

WHOLE = 2**20  # samples of clips that are encoded at once
PORTION = 2**18  # samples of longer ones that are encoded at a time: memory does not grow with their length
MARGIN = 2**16  # samples on either side of a portion; more than any frame has on either side of its centre
FLOOR = 1e-12  # of power, before its logarithm: far below 16-bit quantisation noise in a single bin


class Steps(Protocol):
    """Steps in time: a tensor whose first axis they are, or what reads such where it is asked for some."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Tensor:
        """Some of them."""


class _StepsOnDisk:
    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, part: slice, /) -> Tensor:
        import torch

        return torch.from_numpy(self.samples[part])


def steps_of(samples: Samples) -> Steps:
    """Samples of a recording as `Representation.encode` takes them."""
    import torch

    return torch.from_numpy(samples) if isinstance(samples, np.ndarray) else _StepsOnDisk(samples)


class Decoder(Protocol):
    """Back from what is kept to what a model computes with.

    Attributes
    ----------
    domain : {"waveform", "spectrogram"}
        What `decode` returns: waveforms (batch, n_samples), or spectrograms (batch, n_channels, n_features, n_frames)
        before their compression.
    """

    domain: Domain

    def decode(self, stored: Tensor) -> Tensor:
        """Decode windows (batch, n_steps, ...)."""


class Representation(Decoder, Protocol):
    """How a clip is kept: an array whose first axis is time.

    Attributes
    ----------
    dtype : type
        NumPy's, of the array.
    n_dims : int
        1 or 2.
    """

    dtype: type[np.generic]
    n_dims: int

    @classmethod
    def from_contract(cls, contract: Contract) -> Self:
        """Build from the contract of a store."""

    def encode(self, waveform: Steps) -> Steps:
        """From int16 (n_samples,) to what is kept."""

    def length(self, n_samples: int) -> int:
        """Steps in time of a waveform of n_samples."""

    def silence(self, stored: Tensor) -> Tensor:
        """How silence is written in what is kept of a clip: a number."""

    @property
    def samples_per_step(self) -> int:
        """Distance of neighbouring steps."""


class Waveform:
    """Samples as they are: int16 (n_samples,) -> waveforms of +-1."""

    domain: Domain = "waveform"
    dtype: type[np.generic] = np.int16
    n_dims, samples_per_step = 1, 1

    @classmethod
    def from_contract(cls, contract: Contract) -> Self:
        """Nothing of it depends on the contract."""
        return cls()

    def encode(self, waveform: Steps) -> Steps:
        """Leave (n_samples,) int16 unchanged."""
        return waveform

    def decode(self, stored: Tensor) -> Tensor:
        """Scale (batch, n_samples) int16 to +-1."""
        return stored.float() / 32768

    def rounded(self, spectrogram: Tensor) -> Tensor:
        """Leave spectrograms unchanged: they are not what is kept."""
        return spectrogram

    def length(self, n_samples: int) -> int:
        """Return n_samples: a step is a sample."""
        return n_samples

    def silence(self, stored: Tensor) -> Tensor:
        """Return zero."""
        return stored.new_zeros(())


class LogSpectrogram:
    """Natural logarithm of a front end's spectrogram in 16 bits, frame after frame, within 0.07 dB.

    Parameters
    ----------
    frontend : Frontend
        Whose spectrogram it is; nothing in it is learned.
    """

    domain: Domain = "spectrogram"
    dtype: type[np.generic] = np.float16
    n_dims = 2

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend

    @classmethod
    def from_contract(cls, contract: Contract) -> Self:
        """Build the front end that the contract names.

        Raises
        ------
        SettingError
            Its settings do not fit the sample rate.
        """
        from adaspec.frontends import FRONTENDS  # here: whoever keeps waveforms does without a second of torch

        settings = dict(contract["frontend"])
        return cls(FRONTENDS[settings.pop("name")](sample_rate=contract["sample_rate"], **settings))

    @property
    def samples_per_step(self) -> int:
        """The front end's hop."""
        return self.frontend.hop_length

    def encode(self, waveform: Steps) -> Tensor:
        """From (n_samples,) int16 to (n_frames, n_channels * n_features) float16."""
        import torch

        hop = self.frontend.hop_length
        step, margin = -(-PORTION // hop) * hop, -(-MARGIN // hop) * hop
        if len(waveform) <= WHOLE:
            return self._encode(waveform[:])
        # Frames far enough from the ends of a portion are those of the whole. What is kept goes to its place at once:
        # many small pieces would leave holes in memory that the work on the next portion does not fit.
        n_values = self.frontend.n_channels * self.frontend.n_features
        encoded = torch.empty(self.length(len(waveform)), n_values, dtype=torch.float16)
        for begin in range(0, len(waveform), step):
            first, end = max(0, begin - margin), begin + step + margin
            rows = self._encode(waveform[first:end])[(begin - first) // hop :]
            if end < len(waveform):
                rows = rows[: step // hop]
            encoded[begin // hop : begin // hop + len(rows)] = rows
            if end >= len(waveform):
                break
        return encoded

    def _encode(self, waveform: Tensor) -> Tensor:
        import torch

        with torch.no_grad():
            spectrogram = self.frontend.spectrogram(waveform.unsqueeze(0).float() / 32768)[0]
            return self._kept(spectrogram).flatten(0, 1).T.contiguous()

    def decode(self, stored: Tensor) -> Tensor:
        """From (batch, n_frames, n_channels * n_features) to (batch, n_channels, n_features, n_frames)."""
        n_clips, n_frames, n_values = stored.shape
        n_channels = self.frontend.n_channels
        return stored.float().exp().view(n_clips, n_frames, n_channels, n_values // n_channels).movedim(1, 3)

    def rounded(self, spectrogram: Tensor) -> Tensor:
        """Spectrograms as they come back from what is kept of them."""
        return self._kept(spectrogram).float().exp()

    def _kept(self, spectrogram: Tensor) -> Tensor:
        return (spectrogram + FLOOR).log().half()

    def length(self, n_samples: int) -> int:
        """Return the number of frames."""
        return self.frontend.n_frames(n_samples)

    def silence(self, stored: Tensor) -> Tensor:
        """Return the lowest value that the clip has: zero would be loud."""
        return stored.min()


class ReadySpectrogram:
    """Spectrograms that lie in memory, computed already."""

    domain: Domain = "spectrogram"

    def decode(self, stored: Tensor) -> Tensor:
        """Leave (batch, n_channels, n_features, n_frames) unchanged."""
        return stored


REPRESENTATIONS: dict[str, type[Waveform] | type[LogSpectrogram]] = {
    "waveform": Waveform,
    "log_spectrogram": LogSpectrogram,
}


def feature_contract(config: ModelConfig) -> Contract:
    """What the store must hold for this configuration: waveforms for a front end that may learn, else its spectrogram.

    Parameters
    ----------
    config : ModelConfig
        Resolved.

    Returns
    -------
    dict
        `representation` (one of `REPRESENTATIONS`), `sample_rate` in Hz, `trim_db`, and for a spectrogram the settings
        of its `frontend`.
    """
    contract: Contract = {"sample_rate": config.audio.sample_rate, "trim_db": config.audio.trim_db}
    section = config.frontend.section
    if section is None:
        return {"representation": "waveform", **contract}
    settings = section.model_dump(include=set(section.stored))
    return {"representation": "log_spectrogram", **contract, "frontend": {"name": config.frontend.name, **settings}}


def representation_of(contract: Contract) -> Waveform | LogSpectrogram:
    """What a store with this contract holds."""
    return REPRESENTATIONS[contract["representation"]].from_contract(contract)
