"""Compressions: their formulas, and PCEN against librosa, cut into pieces, differentiated and exported."""

import itertools
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnxruntime
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stft_forms import deviation
from torch import Tensor, nn

from adaspec.config import CompressionConfig
from adaspec.frontends.compression import COMPRESSIONS, PCEN, Compressed, Compression, build_compression

RATE = 22050 / 512  # frames per second
SHAPE = {"n_channels": 2, "n_features": 5}
LEARNED = ("log_time_constant", "log_gain", "log_bias", "log_power")
OTHERS: dict[str, float] = {"time_constant_s": 0.06, "gain": 0.8, "bias": 10.0, "power": 0.25, "eps": 1e-3}


def spectrogram(batch: int, n_frames: int, seed: int = 0) -> Tensor:
    """Powers over twelve decades: (batch, 2, 5, n_frames), float64."""
    random = torch.Generator().manual_seed(seed)
    return 10 ** (12 * torch.rand(batch, 2, 5, n_frames, generator=random, dtype=torch.float64) - 9)


def build(*, moved: float = 0.0, **arguments: Any) -> PCEN:
    """PCEN in float64, its parameters moved at random."""
    layer = PCEN(**(SHAPE | {"frame_rate": RATE} | arguments)).double()
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += moved * torch.randn(parameter.shape, generator=random, dtype=torch.float64)
    return layer


def of_scipy(power: np.ndarray[Any, Any], layer: PCEN, *, initial: float | None) -> np.ndarray[Any, Any]:
    """PCEN by scipy's recursive filter, band after band, as librosa.pcen (0.11.0) computes it."""
    values = {name: value.detach().expand(2, 5).numpy() for name, value in layer.settings().items()}
    output = np.empty_like(power)
    for clip, channel, band in np.ndindex(power.shape[:3]):
        time_constant, gain, bias, exponent = (values[name][channel, band] for name in values)
        n_frames = time_constant * layer.frame_rate
        s = (np.sqrt(1 + 4 * n_frames**2) - 1) / (2 * n_frames**2)
        scaled = layer.scale * power[clip, channel, band]
        before = scaled[0] if initial is None else initial
        smoothed, _ = scipy.signal.lfilter([s], [1, s - 1], scaled, zi=[(1 - s) * before])
        output[clip, channel, band] = (scaled / (layer.eps + smoothed) ** gain + bias) ** exponent - bias**exponent
    return output


POWERS = torch.tensor([0.0, 1e-30, 1e-7, 0.5, 3.0, 1e20], dtype=torch.float64)


def pointwise(name: Compression, gamma: float, *, magnitude: bool = False) -> nn.Module:
    return build_compression(name, Compressed(1, 1, RATE, magnitude, gamma))


def test_compressions_are_those_of_the_configuration() -> None:
    assert get_args(Compression) == tuple(COMPRESSIONS)
    assert get_args(Compression) == get_args(CompressionConfig.model_fields["name"].annotation)


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_compression_keeps_the_shape_and_is_finite(name: Compression) -> None:
    layer = build_compression(name, Compressed(2, 5, RATE, False, 1e6))
    for batch, n_frames in ((1, 1), (3, 2), (2, 300)):
        found = layer(spectrogram(batch, n_frames).float())
        assert found.shape == (batch, 2, 5, n_frames)
        assert found.dtype == torch.float32
        assert found.isfinite().all()


@pytest.mark.parametrize("magnitude", [False, True])
@pytest.mark.parametrize("gamma", [1.0, 1e6, 1e10])
@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("log10", lambda value, c, _: math.log1p(c * value) / math.log(10)),
        ("log1p", lambda value, c, _: math.log1p(c * value)),
        ("db", lambda value, c, magnitude: (20 if magnitude else 10) * math.log10(max(value, 1 / c))),
    ],
)
def test_compression_equals_its_formula(name: Any, formula: Any, gamma: float, magnitude: bool) -> None:
    expected = torch.tensor([formula(value, gamma, magnitude) for value in POWERS.tolist()], dtype=torch.float64)
    layer = pointwise(name, gamma, magnitude=magnitude)
    torch.testing.assert_close(layer(POWERS), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(layer(POWERS.float()).double(), expected)


def test_compression_by_none_leaves_the_spectrogram() -> None:
    assert pointwise("none", 1e6)(POWERS) is POWERS


@pytest.mark.parametrize("name", ["log10", "log1p", "db"])
def test_compression_has_a_finite_gradient_on_silence(name: Any) -> None:
    layer, value = pointwise(name, 1e6), POWERS.float().requires_grad_()
    layer(value).sum().backward()
    assert value.grad is not None
    assert value.grad.isfinite().all()
    assert (value.grad >= 0).all()
    inner = torch.tensor([0.01, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, [inner])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("initial", [None, 0.0, 1.0])
@pytest.mark.parametrize("arguments", [{}, OTHERS, {"time_constant_s": 1e-3}, {"time_constant_s": 1e3}])
def test_pcen_equals_a_recursive_filter(arguments: dict[str, float], initial: float | None, shared: bool) -> None:
    power = spectrogram(2, 700)
    power[..., 100:140] = 0
    layer = build(**arguments, initial=initial, shared=shared, moved=0.2)
    expected = torch.from_numpy(of_scipy(power.numpy(), layer, initial=initial))
    # The difference of two powers cancels where there is nearly silence, which the layer's expm1 does not.
    cancelled = 1e-13 * expected.max().item()
    with torch.no_grad():
        torch.testing.assert_close(layer(power), expected, rtol=1e-9, atol=cancelled)
        single = layer.float()(power.float()).double()
    torch.testing.assert_close(single, layer.double()(power).detach(), rtol=1e-5, atol=0)


# The same 60 frames of 2 bands by librosa 0.11.0 (numpy 2.4.6, scipy 1.17.1), in a virtual environment of its own
# (`pip install librosa==0.11.0`), with
#   t = np.arange(60)
#   S = np.array([1e-3 * (1.1 + np.sin(0.7 * t)) ** 4, np.where((t > 20) & (t < 24), 1.0, 1e-8 * (t % 7))])
#   P = librosa.pcen(1e6 * S, sr=22050, hop_length=512)[:, [0, 1, 5, 20, 21, 22, 24, 59]]
#   Q = librosa.pcen(1e6 * S, sr=22050, hop_length=512, time_constant=0.06, gain=0.8, bias=10.0, power=0.25, eps=1e-3)
LIBROSA_FRAMES = [0, 1, 5, 20, 21, 22, 24, 59]
LIBROSA: list[tuple[dict[str, float], list[list[float]]]] = [
    (
        {},
        [
            [3.18533194, 3.00291143, 0.0540648037, 1.27008189, 0.923579503, 0.302771142, 0.000196681127, 0.0138367244],
            [0.0, 0.00395352578, 0.0243897806, 0.0636968902, 3.49201685, 2.26106689, 8.92793886e-08, 6.53668836e-07],
        ],
    ),
    (
        OTHERS,
        [
            [
                0.354647878,
                0.441226591,
                0.0134598828,
                0.412329403,
                0.296585959,
                0.11210423,
                0.000118334894,
                0.00812727784,
            ],
            [0.0, 0.00081616018, 0.0111081591, 0.0310234567, 0.87425751, 0.672515817, 3.89359197e-08, 0.00179294085],
        ],
    ),
]


def librosa_power() -> Tensor:
    t = np.arange(60)
    rows = [1e-3 * (1.1 + np.sin(0.7 * t)) ** 4, np.where((t > 20) & (t < 24), 1.0, 1e-8 * (t % 7))]
    return torch.from_numpy(np.array(rows))[None, None]


@pytest.mark.parametrize(("arguments", "expected"), LIBROSA)
def test_pcen_equals_librosa(arguments: dict[str, float], expected: list[list[float]]) -> None:
    layer = build(n_channels=1, n_features=2, initial=1.0, **arguments)
    with torch.no_grad():
        found = layer(librosa_power())[0, 0]
        single = layer.float()(librosa_power().float())[0, 0]
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found[:, LIBROSA_FRAMES], wanted, rtol=1e-7, atol=0)
    torch.testing.assert_close(single[:, LIBROSA_FRAMES].double(), wanted, rtol=1e-5, atol=0)


def test_pcen_starts_at_the_settings_and_learns_ratios() -> None:
    layer = build(**OTHERS)
    assert [name for name, _ in layer.named_parameters()] == list(LEARNED)
    assert all(not parameter.any() and parameter.shape == (2, 5) for parameter in layer.parameters())
    assert all(parameter.shape == (2, 1) for parameter in build(shared=True).parameters())
    with torch.no_grad():
        layer.log_gain[1, 3] += math.log(1.25)
    assert layer.settings()["gain"][1, 3].item() == pytest.approx(1.0)
    assert layer.settings()["time_constant"].detach().allclose(torch.tensor(0.06, dtype=torch.float64))


def test_pcen_of_a_steady_sound_has_no_onset() -> None:
    steady = torch.full((1, 2, 5, 300), 1e-3, dtype=torch.float64)
    found = build()(steady)
    torch.testing.assert_close(found, found[..., :1].expand_as(found), rtol=1e-12, atol=0)
    assert build(initial=0.0)(steady)[..., 0].mean() > 1.5 * found.mean()


@settings(max_examples=30, deadline=None)
@given(
    n_frames=st.integers(1, 600),
    cuts=st.lists(st.integers(1, 599), max_size=5),
    initial=st.sampled_from([None, 1.0]),
    shared=st.booleans(),
)
def test_pcen_does_not_hear_where_a_stream_is_cut(
    n_frames: int, cuts: list[int], initial: float | None, shared: bool
) -> None:
    layer, power = build(initial=initial, shared=shared, moved=0.3), spectrogram(2, n_frames)
    state, pieces = None, []
    edges = [0, *sorted({cut for cut in cuts if cut < n_frames}), n_frames]
    with torch.no_grad():
        for begin, end in itertools.pairwise(edges):
            piece, state = layer.stream(power[..., begin:end], state)
            pieces.append(piece)
        whole, last = layer.stream(power)
    assert state is not None
    assert state.shape == (2, 2, 5, 1)
    torch.testing.assert_close(torch.cat(pieces, -1), whole, rtol=1e-11, atol=0)
    torch.testing.assert_close(state, last, rtol=1e-11, atol=0)


@pytest.mark.parametrize("n_frames", [1, 15, 16, 17, 255, 256, 257, 4096, 9000])
def test_pcen_smooths_recordings_of_any_length(n_frames: int) -> None:
    layer, power = build(time_constant_s=30.0), spectrogram(1, n_frames)
    _, state = layer.stream(power)
    expected = layer.scale * power[..., 0]
    n_smoothed = torch.tensor(30.0 * RATE, dtype=torch.float64)
    s = ((1 + 4 * n_smoothed**2).sqrt() - 1) / (2 * n_smoothed**2)
    for frame in power.unbind(-1):
        expected = (1 - s) * expected + s * layer.scale * frame
    torch.testing.assert_close(state[..., 0], expected, rtol=1e-10, atol=0)


def test_pcen_does_not_hear_batch_mates_nor_the_future() -> None:
    layer, power = build(moved=0.2).float(), spectrogram(4, 200).float()
    power[1] *= 1e6
    power[2] = 0
    with torch.no_grad():
        together = layer(power)
        alone = torch.cat([layer(clip[None]) for clip in power])
        begun = layer(power[..., :77])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=0)
    torch.testing.assert_close(together[..., :77], begun, rtol=1e-5, atol=0)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("initial", [None, 1.0])
def test_pcen_gradients(initial: float | None, shared: bool) -> None:
    layer = build(n_channels=1, n_features=2, scale=3.0, initial=initial, shared=shared, moved=0.2)
    random = torch.Generator().manual_seed(0)
    power = torch.rand(2, 1, 2, 19, generator=random, dtype=torch.float64).add(0.1).requires_grad_()
    state = torch.rand(2, 1, 2, 1, generator=random, dtype=torch.float64).add(0.1).requires_grad_()
    names = [name for name, _ in layer.named_parameters()]

    def outputs(power: Tensor, state: Tensor, *values: Tensor) -> Any:
        arguments = dict(zip(names, values, strict=True))
        alone = torch.func.functional_call(layer, arguments, (power,))
        return alone, torch.func.functional_call(layer, arguments, (power, state))

    assert torch.autograd.gradcheck(outputs, (power, state, *layer.parameters()))


SIGNALS = {
    "silence": torch.zeros(400),
    "constant": torch.ones(400),
    "impulse": torch.eye(400)[123],
    "square": (torch.arange(400) // 40 % 2).float(),
    "loud": torch.full((400,), 1e12),
}


@pytest.mark.parametrize("time_constant_s", [1e-6, 0.4, 1e4])
@pytest.mark.parametrize("initial", [None, 0.0, 1.0])
@pytest.mark.parametrize("signal", SIGNALS)
def test_pcen_and_its_gradients_are_finite(signal: str, initial: float | None, time_constant_s: float) -> None:
    layer = PCEN(**SHAPE, frame_rate=RATE, initial=initial, time_constant_s=time_constant_s)
    power = SIGNALS[signal].expand(1, 2, 5, -1).clone().requires_grad_()
    found = layer(power)
    assert found.isfinite().all()
    assert found.any() == (signal != "silence")
    found.square().sum().backward()
    for value in (power, *layer.parameters()):
        assert value.grad is not None
        assert value.grad.isfinite().all()
        if signal == "square" and time_constant_s == 0.4:
            assert value.grad.any()


def dynamic() -> tuple[dict[int, Any]]:
    return ({0: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC},)


LENGTHS = [(2, 108), (1, 1), (3, 16), (1, 17), (2, 255), (1, 256), (2, 5000)]  # the first is the one exported with


def test_pcen_exports_to_torch_for_any_batch_and_length() -> None:
    layer = build(shared=True, moved=0.2).float().eval().requires_grad_(False)
    example = spectrogram(*LENGTHS[0]).float()
    program = torch.export.export(layer, (example,), dynamic_shapes=dynamic()).module()
    for shape in LENGTHS:
        power = spectrogram(*shape, seed=1).float()
        assert deviation(program(power), layer(power)) <= 2e-6


def test_pcen_exports_to_onnx_for_any_batch_and_length(tmp_path: Path) -> None:
    layer, path = build(moved=0.2).float().eval().requires_grad_(False), tmp_path / "pcen.onnx"
    example = spectrogram(*LENGTHS[0]).float()
    torch.onnx.export(layer, (example,), path, dynamo=True, dynamic_shapes=dynamic(), verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in LENGTHS:
        power = spectrogram(*shape, seed=1).float()
        [found] = session.run(None, {session.get_inputs()[0].name: power.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), layer(power), rtol=1e-5, atol=1e-6)


def test_pcen_compiles_in_one_graph_and_learns() -> None:
    torch._dynamo.reset()
    layer, peer = build(moved=0.2), build(moved=0.2)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    for shape in LENGTHS[::2]:
        power = spectrogram(*shape)
        found, expected = compiled(power), peer(power)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)
        for output in (found, expected):
            output.sum().backward()
    for one, other in zip(layer.parameters(), peer.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-9, atol=0)
