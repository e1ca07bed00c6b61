"""The complex spectrum is torch.stft's at the start, and waveforms come back from it."""

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from stft_forms import FORMS, build, noise, perturb, torch_stft
from torch import Tensor, nn

from adaspec.errors import SettingError
from adaspec.frontends import AdaptiveSTFT

FRAME: dict[str, Any] = {"n_fft": 128, "hop_length": 40, "n_mels": None}
INVERTIBLE = ["fft", "dense", "unit_norm", "orthonormal", "length", "three"]


def snr_db(expected: Tensor, found: Tensor) -> float:
    """Signal-to-noise ratio of waveforms (batch, n_samples) in every channel of (batch, n_transforms, n_samples)."""
    assert found.shape == (expected.shape[0], found.shape[1], expected.shape[1])
    error = (found - expected[:, None]).square().sum()
    return float(10 * (expected.square().sum() * found.shape[1] / error.clamp_min(1e-300)).log10())


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(
    ("n_fft", "win_length", "hop_length", "n_samples"),
    [(128, 128, 32, 1000), (128, 100, 33, 777), (127, 127, 40, 801), (64, 63, 7, 333), (5, 4, 2, 31), (2, 2, 1, 9)],
)
@pytest.mark.parametrize("form", FORMS)
def test_spectrum_equals_torch_stft(
    form: str, n_fft: int, win_length: int, hop_length: int, n_samples: int, center: bool
) -> None:
    frame: dict[str, Any] = {"n_fft": n_fft, "win_length": win_length, "hop_length": hop_length, "center": center}
    if win_length < 8 and form == "length":
        pytest.skip("windows shorter than 8 samples keep their length")
    waveform = noise(2, n_samples).double()
    found = build(form, n_mels=None, **frame).double().spectrum(waveform).detach()
    expected = torch_stft(waveform, **frame)
    assert found.dtype == torch.complex128
    assert found.shape == (2, 3 if form == "three" else 1, *expected.shape[1:])
    # The window and the kernels at the start are rounded to float32.
    assert (found - expected[:, None]).abs().max() <= 1e-6 * expected.abs().max()


@pytest.mark.parametrize("form", FORMS)
def test_spectrum_has_the_powers_of_the_spectrogram(form: str) -> None:
    layer = perturb(build(form, **FRAME, learn_window=True))
    waveform = noise(2, 700)
    bins = layer.spectrum(waveform)
    torch.testing.assert_close(bins.abs().square(), layer.spectrogram(waveform), rtol=1e-4, atol=1e-4)


def test_spectrum_of_one_layer_stays_out_of_the_bands() -> None:
    waveform = noise(1, 700)
    bands = build("fft", n_fft=128, hop_length=40, n_mels=12, power=1)
    torch.testing.assert_close(bands.spectrum(waveform), build("fft", **FRAME).spectrum(waveform), rtol=0, atol=0)


class Call(nn.Module):
    """A method of a layer as a function of its parameters too."""

    def __init__(self, layer: AdaptiveSTFT, method: str) -> None:
        super().__init__()
        self.layer, self.method = layer, method

    def forward(self, *inputs: Any) -> Tensor:
        result: Tensor = getattr(self.layer, self.method)(*inputs)
        return result


def check_gradients(form: str, method: str, *inputs: Any) -> None:
    """Gradients with respect to the first input and all that is learned, by differences."""
    frame: dict[str, Any] = {"n_fft": 12, "win_length": 10, "hop_length": 5, "n_mels": None, "learn_window": True}
    call = Call(perturb(build(form, **frame)).double(), method)
    names, values = zip(*((n, p) for n, p in call.named_parameters() if p.requires_grad), strict=True)

    def function(first: Tensor, *parameters: Tensor) -> Tensor:
        state = dict(zip(names, parameters, strict=True))
        result: Tensor = torch.func.functional_call(call, state, (first, *inputs[1:]))
        return result

    assert torch.autograd.gradcheck(function, (inputs[0].requires_grad_(), *values), fast_mode=True)


@pytest.mark.parametrize("form", FORMS)
def test_spectrum_gradients_are_those_of_differences(form: str) -> None:
    check_gradients(form, "spectrum", noise(1, 20).double())


@pytest.mark.parametrize("form", INVERTIBLE)
def test_inverse_gives_the_waveform_back_at_the_start(form: str) -> None:
    waveform = noise(2, 1000)
    layer = build(form, **FRAME)
    assert snr_db(waveform, layer.inverse(layer.spectrum(waveform), 1000).detach()) > 100
    layer = layer.double()
    assert snr_db(waveform.double(), layer.inverse(layer.spectrum(waveform.double()), 1000).detach()) > 250


@pytest.mark.parametrize("amount", [0.1, 0.5])
@pytest.mark.parametrize("form", INVERTIBLE)
def test_inverse_gives_the_waveform_back_after_learning(form: str, amount: float) -> None:
    """Window and kernels moved by as much as a network would hardly move them; float32."""
    waveform = noise(2, 1000)
    layer = perturb(build(form, **FRAME, learn_window=True), amount)
    assert snr_db(waveform, layer.inverse(layer.spectrum(waveform), 1000).detach()) > 75


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    n_fft=st.integers(8, 48),
    win_share=st.floats(0.5, 1),
    hop_share=st.floats(0.05, 0.5),
    n_samples=st.integers(1, 200),
    center=st.booleans(),
    seed=st.integers(0, 10),
)
def test_inverse_gives_any_length_back(
    n_fft: int, win_share: float, hop_share: float, n_samples: int, center: bool, seed: int
) -> None:
    win_length = max(2, int(win_share * n_fft))
    hop_length = max(1, int(hop_share * win_length))
    full = n_samples >= n_fft and (n_samples - n_fft) % hop_length == 0  # frames reach to the end
    assume(center or (full and win_length == n_fft))
    layer = build("fft", n_fft=n_fft, win_length=win_length, hop_length=hop_length, center=center, n_mels=None)
    with torch.no_grad():  # a window without zeros
        layer.window.values.uniform_(0.2, 1, generator=torch.Generator().manual_seed(seed))
    waveform = noise(2, n_samples, seed).double()
    found = layer.double().inverse(layer.spectrum(waveform), n_samples)
    assert snr_db(waveform, found) > 200


@pytest.mark.parametrize("length", [None, 490])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("n_fft", [64, 63])
def test_inverse_of_any_bins_is_torch_istft(n_fft: int, center: bool, length: int | None) -> None:
    layer = build("fft", n_fft=n_fft, hop_length=16, window="hamming", center=center, n_mels=None).double()
    bins = layer.spectrum(noise(2, 490 if center else 480 + n_fft % 16).double())
    bins = bins + torch.randn(bins.shape, dtype=bins.dtype, generator=torch.Generator().manual_seed(2))
    length = length if center else None
    expected = torch.istft(bins[:, 0], n_fft, 16, window=layer.window().detach()[0], center=center, length=length)
    found = layer.inverse(bins, length)
    torch.testing.assert_close(found[:, 0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", ["fft", "orthonormal"])
def test_inverse_of_any_bins_is_that_of_least_squares(form: str) -> None:
    """Golden: the pseudo-inverse of the analysis, written out sample by sample; a full spectrum counts bins twice."""
    layer = perturb(build(form, n_fft=16, hop_length=4, window="hamming", center=False, n_mels=None)).double()
    columns = layer.spectrum(torch.eye(64, dtype=torch.float64))[:, 0].detach()  # (n_samples, n_freqs, n_frames)
    counts = torch.tensor([1, *[2**0.5] * 7, 1], dtype=torch.float64)[:, None].repeat(2, 1)
    matrix = torch.cat([columns.real, columns.imag], 1) * counts
    bins = torch.randn(1, 1, 9, 13, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    target = torch.cat([bins.real, bins.imag], 2)[0, 0] * counts
    expected = torch.linalg.pinv(matrix.flatten(1).T) @ target.flatten()
    torch.testing.assert_close(layer.inverse(bins)[0, 0].detach(), expected, rtol=0, atol=1e-7)  # float32 norms


@pytest.mark.parametrize("form", ["fft", "dense", "orthonormal", "length"])
def test_inverse_gradients_are_those_of_differences(form: str) -> None:
    bins = torch.randn(1, 1, 7, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(4))
    check_gradients(form, "inverse", bins, 22)


def test_inverse_of_each_transform_is_of_its_own_bins() -> None:
    layer = build("three", **FRAME, window_ratio=0.8)
    quiet, loud = noise(1, 700, 1), 10 * noise(1, 700, 2)
    mixed = layer.spectrum(quiet)
    mixed[:, 1] = layer.spectrum(loud)[:, 1]
    found = layer.inverse(mixed, 700)
    assert snr_db(quiet, found[:, [0, 2]]) > 80
    assert snr_db(loud, found[:, [1]]) > 80


def test_inverse_knows_nothing_of_an_imaginary_part_at_the_ends_of_the_spectrum() -> None:
    for form in ("fft", "orthonormal"):
        layer = build(form, **FRAME)
        bins = layer.spectrum(noise(1, 700)).detach()
        turned = bins.clone()
        turned[:, :, [0, -1]] += 3j
        torch.testing.assert_close(layer.inverse(turned, 700), layer.inverse(bins, 700), rtol=0, atol=1e-6)


REFUSED: list[tuple[str, dict[str, Any], Any, type[ValueError], str]] = [
    (
        "fft",
        {"hop_length": 200},
        1000,
        SettingError,
        "hop_length=200 leaves gaps between windows, of which 127 samples are not 0; for an inverse lower it to 127 or "
        "less",
    ),
    (
        "fft",
        {"center": False},
        1008,
        ValueError,
        "1 of 1008 samples, from sample 0 on, lie where every window is 0, and cannot be recovered; build the layer "
        "with center=True, or with a window without zeros, such as hamming",
    ),
    (
        "fft",
        {"center": False, "window": "hamming"},
        1010,
        ValueError,
        "2 of 1010 samples, from sample 1008 on, lie where every window is 0, and cannot be recovered; lower n_samples "
        "to 1008",
    ),
    (
        "banded",
        {},
        1000,
        SettingError,
        "kernel_form=banded gives every bin a window of its own, for which there is no dual window; learn dense "
        "kernels, best with kernel_constraint=orthonormal, for a layer with an inverse",
    ),
    (
        "parametric",
        {},
        1000,
        SettingError,
        "kernel_form=parametric gives every bin a window of its own, for which there is no dual window; learn dense "
        "kernels, best with kernel_constraint=orthonormal, for a layer with an inverse",
    ),
]


@pytest.mark.parametrize(
    ("form", "frame", "n_samples", "error", "told"), REFUSED, ids=[told[4][:30] for told in REFUSED]
)
def test_inverse_that_there_is_not_is_refused(
    form: str, frame: dict[str, Any], n_samples: int, error: type[ValueError], told: str
) -> None:
    layer = build(form, **(FRAME | frame))
    with pytest.raises(error) as refusal:
        layer.inverse(layer.spectrum(noise(1, n_samples)), n_samples)
    assert str(refusal.value) == told


@pytest.mark.parametrize(("n_samples", "fewest"), [(959, 960), (1000, 960), (None, 960)])
def test_inverse_number_of_samples_goes_with_the_frames(n_samples: int | None, fewest: int) -> None:
    layer = build("fft", **FRAME)
    bins = layer.spectrum(noise(1, 970))
    if n_samples is None:
        assert layer.inverse(bins).shape == (1, 1, fewest)
        return
    with pytest.raises(ValueError, match="does not go with") as refusal:
        layer.inverse(bins, n_samples)
    assert str(refusal.value) == (
        f"n_samples={n_samples} does not go with 25 frames, which waveforms of 960 to 999 samples have; set it to the "
        "length of the waveform"
    )


def test_inverse_of_one_frame_asks_for_the_number_of_samples() -> None:
    layer = build("fft", **FRAME)
    clip = noise(1, 30)
    bins = layer.spectrum(clip)
    with pytest.raises(ValueError, match=r"^n_samples=None does not go with 1 frames, .* of 1 to 39 samples"):
        layer.inverse(bins)
    assert snr_db(clip, layer.inverse(bins, 30)) > 100


def test_inverse_of_other_shapes_is_refused() -> None:
    layer = build("fft", **FRAME)
    for bins in (torch.zeros(1, 65, 5) + 0j, torch.zeros(1, 1, 64, 5) + 0j, torch.zeros(1, 2, 65, 5) + 0j):
        with pytest.raises(ValueError, match=r"^bins must be complex, of shape \(batch, 1, 65, n_frames\)"):
            layer.inverse(bins)
    with pytest.raises(ValueError, match=r"got float32 of shape \(1, 1, 65, 5\); give what layer.spectrum returns"):
        layer.inverse(torch.zeros(1, 1, 65, 5))


def test_inverse_of_singular_kernels_is_refused() -> None:
    layer = build("dense", **FRAME)
    assert layer.kernels is not None
    bins = layer.spectrum(noise(1, 1000))
    with torch.no_grad():
        layer.kernels.values[:, 3] = layer.kernels.values[:, 4] * (1 + 1e-6)
    with pytest.raises(ValueError, match=r"so close to singular that rounding would come back .* times as loud"):
        layer.inverse(bins, 1000)


def test_spectrum_and_inverse_need_one_window_length_for_all_bands() -> None:
    layer = build("length", n_fft=128, hop_length=40, n_mels=12, length_groups=3)
    told = (
        "length_groups=3 gives each transform as many spectra, a window length each; set it to 1 for a spectrum that "
        "all bands share"
    )
    for call in (lambda: layer.spectrum(noise(1, 700)), lambda: layer.inverse(torch.zeros(1, 1, 65, 18) + 0j)):
        with pytest.raises(SettingError) as refusal:
            call()
        assert str(refusal.value) == told
