"""One gate for every recording, whether it comes from a file, an array or a request."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adaspec.audio.waveform import Waveform

__all__ = ["LONGEST_S", "BadClipError", "Guard"]

SAMPLE_RATES = (1000, 1_000_000)  # Hz; a mistaken 1 Hz would be resampled to thousands of times as many samples
LONGEST_S = 4 * 3600.0  # of a recording: 64 kB of FLAC can declare days of silence
MOST_SAMPLES = 2**31 - 1  # of a recording, at its own rate
HIGHEST_PEAK = 8.0  # float recordings may pass +-1, by 18 dB at the very most
HALF_STEP = 0.5 / 32768  # of 16 bits
CANCELLED = 1e-4  # of the channels' energy: their mean keeps less, 40 dB
NO_SAMPLES = np.zeros(0, dtype=np.float32)


class BadClipError(ValueError):
    """A recording that cannot be used; the message is the reason alone, the caller adds which one."""


class Guard:
    """Looks at all samples of a recording as they pass, and averages its channels.

    Parameters
    ----------
    sample_rate : int
        In Hz, 1000 to 1000000.
    longest_s : float
        Longest duration that is taken, in seconds.

    Attributes
    ----------
    n_samples : int
        That passed.
    peak : float
        Of all channels.

    Raises
    ------
    BadClipError
        The sample rate is out of range.
    """

    def __init__(self, sample_rate: int, longest_s: float = LONGEST_S) -> None:
        if not SAMPLE_RATES[0] <= sample_rate <= SAMPLE_RATES[1]:
            raise BadClipError(f"sample_rate={sample_rate} Hz is not within {SAMPLE_RATES[0]} and {SAMPLE_RATES[1]} Hz")
        self.sample_rate, self.longest_s = sample_rate, longest_s
        self.n_samples, self.peak = 0, 0.0
        self._n_beyond, self._first_beyond = 0, 0
        self._only_whole = True
        self._mean_peak = self._energy = self._mean_energy = 0.0

    def check_length(self, n_samples: int) -> None:
        """Refuse recordings that are too long.

        Raises
        ------
        BadClipError
            More than `longest_s` seconds, or than 2**31 - 1 samples.
        """
        if n_samples > min(self.longest_s * self.sample_rate, MOST_SAMPLES):
            raise BadClipError(
                f"longer than {self.longest_s:g} s or {MOST_SAMPLES} samples, the most that is read; cut it in parts"
            )

    def pass_on(self, channels: npt.NDArray[np.float32]) -> Waveform:
        """Take the next samples (n_samples, n_channels); return their mean over channels (n_samples,).

        Raises
        ------
        BadClipError
            NaN or infinite samples, or the recording is too long by now.
        """
        if channels.size == 0:
            return NO_SAMPLES
        self.check_length(self.n_samples + len(channels))
        peak = max(float(channels.max()), -float(channels.min()))
        if not np.isfinite(peak):
            raise BadClipError("NaN or infinite samples")
        if peak > HIGHEST_PEAK:
            beyond = (np.abs(channels) > HIGHEST_PEAK).any(axis=1)
            if not self._n_beyond:
                self._first_beyond = self.n_samples + int(beyond.argmax())
            self._n_beyond += int(beyond.sum())
        self.peak = max(self.peak, peak)
        for some in (channels[:64], channels):  # few tell of most recordings
            self._only_whole = self._only_whole and bool((some == np.rint(some)).all())
        self.n_samples += len(channels)
        if channels.shape[1] == 1:
            waveform = np.ascontiguousarray(channels[:, 0])
        else:
            waveform = channels.mean(axis=1, dtype=np.float32)
            if not self._n_beyond:  # whose squares may pass the range of float32
                self._energy += float(np.vdot(channels, channels)) / channels.shape[1]
                self._mean_energy += float(np.vdot(waveform, waveform))
        self._mean_peak = max(self._mean_peak, float(waveform.max()), -float(waveform.min()))
        return waveform

    def finish(self) -> str:
        """Judge the recording as a whole.

        Returns
        -------
        str
            What a user should know of it: "" or a predicate, such as "is digital silence".

        Raises
        ------
        BadClipError
            No samples; samples far beyond +-1, as in a damaged file or in the range of integers; channels that cancel.
        """
        if self.n_samples == 0:
            raise BadClipError("no samples")
        if self._n_beyond:
            raise BadClipError(
                f"samples reach {self.peak:g}, full scale is 1 ({self._n_beyond} of {self.n_samples} pass "
                f"{HIGHEST_PEAK:g}, the first at {self._first_beyond / self.sample_rate:.3f} s); repair them, or "
                "divide integer samples by theirs"
            )
        if self._only_whole and self.peak > 1:
            raise BadClipError(
                f"all samples are whole numbers, up to {self.peak:g}, full scale is 1; divide integer samples by theirs"
            )
        if self.peak == 0:
            return "is digital silence"
        if self._energy and self._mean_energy < CANCELLED * self._energy:
            raise BadClipError(
                "the channels cancel each other in their mean, as where the polarity of one is reversed; give one alone"
            )
        if self._mean_peak <= HALF_STEP:
            return f"is silent at 16 bits (its peak is {self._mean_peak:.1e} of full scale)"
        return ""
