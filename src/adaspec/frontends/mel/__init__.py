"""Bands over the bins of a transform: triangles on a frequency scale, fixed or learned."""

from adaspec.frontends.mel.bands import MEL_FORMS, FreeBands, MelForm, MelNorm, ParametricBands, Placement, Triangles
from adaspec.frontends.mel.scales import SCALES, MelScale

__all__ = [
    "MEL_FORMS",
    "SCALES",
    "FreeBands",
    "MelForm",
    "MelNorm",
    "MelScale",
    "ParametricBands",
    "Placement",
    "Triangles",
]
