"""Frequency scales against their formulas, and bands on them that move, however far."""

import math
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adaspec.config.frontend import MelConfig
from adaspec.errors import SettingError
from adaspec.frontends.mel import SCALES, MelScale, ParametricBands, Triangles

RATE, N_FFT, N_MELS = 16_000, 512, 20
LOW = {"log": 50.0}  # Hz, where it cannot be 0

# By hand, with a calculator, from the formulas of the papers that the scales name.
GOLDEN: list[tuple[MelScale, float, float]] = [
    ("htk", 700.0, 2595 * math.log10(2)),
    ("htk", 1000.0, 999.9855),
    ("slaney", 200.0, 3.0),
    ("slaney", 1000.0, 15.0),
    ("slaney", 6400.0, 42.0),
    ("erb", 1000.0, 15.6210),  # 21.4 log10(5.37)
    ("erb", 4000.0, 27.1074),  # 21.4 log10(18.48) = 21.4 * 1.26670
    ("bark", 1000.0, 8.5274),  # 26.81 / 2.96 - 0.53
    ("bark", 1960.0, 12.875),  # 26.81 / 2 - 0.53
    ("linear", 123.0, 123.0),
    ("log", 100.0, math.log(100)),
]


@pytest.mark.parametrize(("scale", "hz", "expected"), GOLDEN)
def test_scale_has_the_values_of_its_formula(scale: MelScale, hz: float, expected: float) -> None:
    found = SCALES[scale].from_hz(torch.tensor(hz, dtype=torch.float64))
    assert found.item() == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize("scale", SCALES)
def test_scale_rises_and_its_inverse_leads_back(scale: MelScale) -> None:
    hz = torch.linspace(LOW.get(scale, 0.0), 22_050.0, 500, dtype=torch.float64)
    on_scale = SCALES[scale].from_hz(hz)
    assert (on_scale.diff() > 0).all()
    torch.testing.assert_close(SCALES[scale].to_hz(on_scale), hz, rtol=1e-9, atol=1e-9)


def test_scales_are_those_of_the_configuration() -> None:
    assert list(SCALES) == list(get_args(MelScale)) == list(get_args(MelConfig.model_fields["scale"].annotation))


def bands_of(scale: MelScale, smooth: int = 1, n_transforms: int = 1, norm: Any = None) -> ParametricBands:
    n_mels = 12 if scale == "log" else N_MELS
    f_min = 200.0 if scale == "log" else 0.0
    triangles = Triangles(RATE, N_FFT, n_mels, f_min, RATE / 2, scale, norm)
    return ParametricBands(triangles, n_transforms, smooth, "gradient").requires_grad_(True)


@pytest.mark.parametrize("scale", SCALES)
def test_bands_start_evenly_spaced_each_from_neighbour_to_neighbour(scale: MelScale) -> None:
    bands = bands_of(scale, smooth=8)
    lower, centre, upper = (SCALES[scale].from_hz(edge[0]) for edge in bands.edges())
    points = torch.cat([lower[:1], centre, upper[-1:]])
    torch.testing.assert_close(points.diff(), points.diff().mean().expand(len(points) - 1), rtol=1e-6, atol=0)
    torch.testing.assert_close(lower[1:], centre[:-1], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(upper[:-1], centre[1:], rtol=1e-9, atol=1e-9)


def moved(scale: MelScale, smooth: int, size: float, seed: int, norm: Any = None) -> ParametricBands:
    bands = bands_of(scale, smooth, n_transforms=2, norm=norm)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in bands.parameters():
            parameter.copy_(size * (2 * torch.rand(parameter.shape, generator=generator) - 1))
    return bands


@given(
    scale=st.sampled_from(list(SCALES)),
    smooth=st.sampled_from([1, 3, 8, 100]),
    size=st.sampled_from([0.1, 1.0, 3.0, 10.0]),
    seed=st.integers(0, 10_000),
    norm=st.sampled_from([None, "slaney"]),
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_bands_stay_in_order_within_the_range_and_alive_wherever_parameters_go(
    scale: Any, smooth: int, size: float, seed: int, norm: Any
) -> None:
    bands = moved(scale, smooth, size, seed, norm)
    lower, centre, upper = bands.edges()
    f_min, f_max = 200.0 if scale == "log" else 0.0, RATE / 2
    assert (centre.diff(dim=-1) >= 0).all()
    assert (centre >= f_min - 1e-6).all()
    assert (centre <= f_max + 1e-6).all()
    assert (lower < centre).all()
    assert (centre < upper).all()
    weights = bands()
    assert weights.isfinite().all()
    assert (weights >= 0).all()
    assert (weights.amax(-2) > 0).all()  # no band is without a bin
    weights.sum().backward()
    assert all(isinstance(each.grad, Tensor) and each.grad.isfinite().all() for each in bands.parameters())


@pytest.mark.parametrize("smooth", [1, 8])
@pytest.mark.parametrize("scale", SCALES)
def test_bands_gradients_are_those_of_the_function(scale: MelScale, smooth: int) -> None:
    bands = moved(scale, smooth, 0.1, seed=1, norm="slaney").double()

    def function(density: Tensor, widths: Tensor) -> Tensor:
        return torch.func.functional_call(bands, {"density": density, "widths": widths}, ())[:, ::3]

    values = [parameter.detach().clone().requires_grad_() for parameter in (bands.density, bands.widths)]
    assert torch.autograd.gradcheck(function, values, fast_mode=True)


def test_bands_crowd_where_their_density_is_high() -> None:
    bands = bands_of("htk", smooth=8)
    before = bands.edges()[1][0].detach()
    with torch.no_grad():
        bands.density[0, 0] += 1
    after = bands.edges()[1][0].detach()
    assert (after < before).all()


@pytest.mark.parametrize("factor", [0.8, 1.5])
def test_widths_widen_bands_about_their_centres(factor: float) -> None:
    bands = bands_of("linear")
    lower, centre, upper = (edge.detach() for edge in bands.edges())
    with torch.no_grad():
        bands.widths.fill_(math.log(factor))
    found = [edge.detach() for edge in bands.edges()]
    torch.testing.assert_close(found[1], centre)
    inner = slice(2, -2)  # at the ends edges stay within the range
    torch.testing.assert_close((found[2] - found[0])[:, inner], factor * (upper - lower)[:, inner], rtol=1e-6, atol=0)


def test_bands_narrower_than_a_bin_are_refused_once_learned() -> None:
    narrow = ParametricBands(Triangles(22_050, 256, 47, 0.0, 11_025.0, "htk", None), 1, 1, "gradient")
    narrow.requires_grad_(False)
    with pytest.raises(SettingError, match=r"makes bands narrower than the 86\.1 Hz") as refusal:
        narrow.requires_grad_(True)
    assert refusal.value.setting == "n_mels"
