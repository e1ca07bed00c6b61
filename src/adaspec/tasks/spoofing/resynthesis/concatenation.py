"""Speech of joined units, as older text to speech makes it."""

from __future__ import annotations

import torch
from torch import Tensor

from adaspec.tasks.spoofing.resynthesis.arithmetic import chance, random_real, random_whole

__all__ = ["join_units"]


def join_units(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Replace units of 35 to 100 ms by others of the clip, with joins of 2 ms."""
    n_samples = waveforms.shape[1]
    result, start = waveforms.clone(), 0
    ramp = torch.linspace(0, 1, max(2, sample_rate // 500), device=waveforms.device)
    while True:
        n_unit = round(sample_rate * random_real(0.035, 0.1))
        if start + n_unit > n_samples:
            return result
        if chance(0.5):
            source = min(max(0, start + random_whole(-n_unit, n_unit)), n_samples - n_unit)
            weight = torch.ones(n_unit, device=waveforms.device)
            weight[: len(ramp)], weight[-len(ramp) :] = ramp, ramp.flip(0)
            unit = waveforms[:, source : source + n_unit]
            result[:, start : start + n_unit] = torch.lerp(result[:, start : start + n_unit], unit, weight)
        start += n_unit
