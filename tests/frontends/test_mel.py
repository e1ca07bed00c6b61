import math
from typing import Any

import pytest
import torch
import torchaudio

from adaspec.frontends.mel import MEL_FORMS, Triangles


@pytest.mark.parametrize("form", MEL_FORMS)
@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_mel_bands_peak_where_the_scale_says(form: str, scale: Any) -> None:
    (found,) = MEL_FORMS[form](Triangles(16_000, 4096, 10, 100.0, 6000.0, scale, None), 1, 4, "gradient")().detach()
    assert found.shape == (2049, 10)
    if scale == "htk":  # 2595 log10(1 + f / 700)
        low, high = (2595 * math.log10(1 + hz / 700) for hz in (100.0, 6000.0))
        centres = [700 * (10 ** ((low + (high - low) * (i + 1) / 11) / 2595) - 1) for i in range(10)]
    else:  # f / 66.67 below 1 kHz = mel 15, from there 27 mels for a factor of 6.4
        low, high = 100 / (200 / 3), 15 + 27 * math.log(6) / math.log(6.4)
        mels = [low + (high - low) * (i + 1) / 11 for i in range(10)]
        centres = [200 / 3 * mel if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27) for mel in mels]
    assert (found.argmax(0) * 16_000 / 4096 - torch.tensor(centres)).abs().max() <= 16_000 / 4096


@pytest.mark.parametrize("form", MEL_FORMS)
@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_mel_bands_have_height_1_or_area_1(form: str, scale: Any) -> None:
    width = 16_000 / 16_384  # Hz between bins
    heights, areas = (
        MEL_FORMS[form](Triangles(16_000, 16_384, 12, 0.0, 8000.0, scale, norm), 1, 4, "gradient")()[0].detach()
        for norm in (None, "slaney")
    )
    torch.testing.assert_close(heights.amax(0), torch.ones(12), rtol=0, atol=0.02)
    torch.testing.assert_close(areas.sum(0) * width, torch.ones(12), rtol=1e-3, atol=0)
    assert heights.min() == areas.min() == 0


@pytest.mark.parametrize("form", MEL_FORMS)
@pytest.mark.parametrize("norm", [None, "slaney"])
@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_mel_bands_equal_torchaudio(form: str, scale: Any, norm: Any) -> None:
    # torchaudio's in float32 are off by 1e-5 of their height where a bin lies beside an edge.
    expected = torchaudio.functional.melscale_fbanks(201, 20.0, 7000.0, 24, 16_000, norm, scale)
    (found,) = MEL_FORMS[form](Triangles(16_000, 400, 24, 20.0, 7000.0, scale, norm), 1, 4, "gradient")().detach()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.max()))


def test_mel_bands_without_a_bin_are_refused_without_a_second_warning() -> None:
    with pytest.raises(ValueError, match="without a bin") as refusal:
        Triangles(8000, 64, 30, 0.0, 4000.0, "htk", None)
    n_empty = int(str(refusal.value).split()[2])
    assert 0 < n_empty < 30
    assert str(refusal.value) == (
        f"n_mels=30 leaves {n_empty} bands between 0.0 and 4000.0 Hz without a bin of n_fft=64 at 8000 Hz; "
        "lower n_mels or raise n_fft"
    )
