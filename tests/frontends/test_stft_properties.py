"""Finite numbers on hard clips, independence of batch mates, types, and values that are never out of date."""

import copy
import pickle
import threading
from typing import Any

import pytest
import torch
from grids import pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from stft_forms import FORMS, LEARN_ALL, build, deviation, gradients, noise, perturb
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT

SMALL: dict[str, Any] = {"n_fft": 64, "win_length": 60, "hop_length": 25, "n_mels": 8}
CLIPS = {
    "silence": torch.zeros(1, 300),
    "dc": torch.ones(1, 300),
    "impulse": torch.nn.functional.one_hot(torch.tensor([150]), 300).float(),
    "square": torch.tensor([1.0, -1.0]).repeat_interleave(10).repeat(15)[None],
    "tiny": torch.full((1, 300), 1e-30),
    "subnormal": noise(1, 300) * 1e-40,
    "huge": noise(1, 300) * 1e12,
    "one sample": torch.ones(1, 1),
    "one silent sample": torch.zeros(1, 1),
    "shorter than half a frame": noise(1, 20),
    "as long as half a frame": noise(1, 32),
    "a sample longer than half a frame": noise(1, 33),
    "a sample shorter than a frame": noise(1, 63),
}
COMPRESSIONS = [("none", 1e6), ("log10", 1e6), ("log1p", 1e6), ("db", 1e10)]


def assert_all_finite(layer: AdaptiveSTFT, waveform: Tensor) -> None:
    output = layer(waveform)
    assert output.isfinite().all()
    output.sum().backward()
    for name, gradient in gradients(layer).items():
        assert gradient.isfinite().all(), name


@pytest.mark.parametrize(
    ("form", "clip", "power", "compressed", "center"),
    pairs([*FORMS, "bf16"], CLIPS, [1, 2], COMPRESSIONS, [True, False]),
)
def test_stft_output_and_gradients_are_finite(
    form: str, clip: str, power: Any, compressed: tuple[Any, float], center: bool
) -> None:
    kind: tuple[str, dict[str, Any]] = ("dense", {"precision": "bf16"}) if form == "bf16" else (form, {})
    shared = SMALL | LEARN_ALL | {"power": power, "compression": compressed[0], "gamma": compressed[1]}
    layer = build(kind[0], **shared, **kind[1], center=center)
    assert_all_finite(layer, CLIPS[clip])  # at the start, where mel bands and windows hold zeros
    assert_all_finite(perturb(layer), CLIPS[clip])
    waveform = CLIPS[clip].clone().requires_grad_()
    assert_all_finite(layer, waveform)
    assert isinstance(waveform.grad, Tensor)
    assert waveform.grad.isfinite().all()


@given(
    form=st.sampled_from(list(FORMS)),
    n_fft=st.integers(2, 40),
    hop_length=st.integers(1, 50),
    n_samples=st.integers(1, 130),
    batch=st.integers(1, 4),
    center=st.booleans(),
    power=st.sampled_from([1, 2]),
    compression=st.sampled_from(COMPRESSIONS),
    amplitude=st.sampled_from([0.0, 1e-20, 1e-3, 1.0, 32768.0]),
    data=st.data(),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_stft_any_size_is_finite_and_independent_of_the_batch(
    form: str,
    n_fft: int,
    hop_length: int,
    n_samples: int,
    batch: int,
    center: bool,
    power: Any,
    compression: tuple[Any, float],
    amplitude: float,
    data: st.DataObject,
) -> None:
    frame: dict[str, Any] = {"n_fft": n_fft, "hop_length": hop_length, "center": center, "power": power}
    frame |= {"win_length": data.draw(st.integers(1, n_fft)), "window": "hamming", "n_mels": None}
    layer = perturb(build(form, **frame, compression=compression[0], gamma=compression[1], learn_window=True))
    waveform = amplitude * noise(batch, n_samples)
    output = layer(waveform).detach()
    padded = n_samples + 2 * (n_fft // 2) if center else n_samples
    assert output.shape == (batch, layer.n_channels, n_fft // 2 + 1, 1 + max(0, padded - n_fft) // hop_length)
    assert_all_finite(layer, waveform)
    alone = torch.cat([layer(clip[None]).detach() for clip in waveform])
    torch.testing.assert_close(alone, output, rtol=1e-4, atol=1e-6 * float(output.abs().max()))
    torch.testing.assert_close(
        layer(waveform.flip(0)).flip(0), output, rtol=1e-4, atol=1e-6 * float(output.abs().max())
    )


@pytest.mark.parametrize("form", FORMS)
def test_stft_quiet_clip_is_the_same_beside_loud_and_silent_ones(form: str) -> None:
    layer = perturb(build(form, **SMALL))
    clips = noise(5, 700) * torch.tensor([[1e6], [1e-3], [0.0], [1e-3], [1.0]])
    clips[3] = clips[1]
    with torch.no_grad():
        output = layer(clips)
        torch.testing.assert_close(layer(clips[1:2])[0], output[1], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(output[3], output[1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("n_mels", [None, 8])
@pytest.mark.parametrize("compression", ["log10", "log1p"])
def test_stft_silence_is_zero(compression: Any, n_mels: int | None) -> None:
    for form in FORMS:
        assert not build(form, **(SMALL | {"n_mels": n_mels}), compression=compression)(torch.zeros(2, 500)).any()


@pytest.mark.parametrize("layout", ["transposed", "expanded", "every other sample", "flipped"])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_stft_takes_any_layout_of_the_waveform(form: str, center: bool, layout: str) -> None:
    layer = perturb(build(form, **SMALL, **LEARN_ALL, center=center))
    waveform = {
        "transposed": noise(400, 3).T,
        "expanded": noise(1, 400).expand(3, -1),
        "every other sample": noise(3, 800)[:, ::2],
        "flipped": noise(3, 400).flip(1)[:, 1:],
    }[layout]
    results = []
    for clips in (waveform, waveform.contiguous()):
        layer.zero_grad()
        output = layer(clips)
        output.sum().backward()
        results.append((output.detach(), gradients(layer)))
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("form", FORMS)
def test_stft_waveforms_of_other_types_are_converted_never_the_result(form: str, dtype: torch.dtype) -> None:
    layer = perturb(build(form, **SMALL, **LEARN_ALL))
    waveform = (10 * noise(2, 300)).to(dtype)
    output = layer(waveform)
    assert output.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(output.float(), layer(waveform.float()), rtol=1e-4, atol=1e-4)
    output.sum().backward()
    assert all(gradient.dtype == torch.float32 for gradient in gradients(layer).values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("form", FORMS)
def test_stft_layers_of_other_types_compute_in_float32_at_least(form: str, dtype: torch.dtype) -> None:
    waveform = noise(2, 300)
    exact = build(form, **SMALL, compression="none")(waveform).detach()
    layer = build(form, **SMALL, **LEARN_ALL, compression="none").to(dtype)
    output = layer(waveform)
    assert output.dtype == torch.promote_types(dtype, torch.float32)
    assert deviation(output.detach(), exact) < {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float64: 1e-6}[dtype]
    output.sum().backward()
    assert all(gradient.dtype == dtype and gradient.isfinite().all() for gradient in gradients(layer).values())
    assert deviation(layer.bake()(waveform), output.detach()) < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_stft_keeps_float32_under_autocast(form: str) -> None:
    layer = perturb(build(form, **SMALL))
    baked = layer.bake()
    waveform = noise(2, 700)
    expected, plain = layer(waveform), baked(waveform)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, same = layer(waveform), baked(waveform)
    assert output.dtype == same.dtype == torch.float32
    torch.testing.assert_close(output, expected, rtol=0, atol=0)
    torch.testing.assert_close(same, plain, rtol=0, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_stft_copies_are_equal_and_on_their_own(form: str) -> None:
    layer = perturb(build(form, **SMALL, **LEARN_ALL))
    waveform = noise(2, 300)
    expected = layer(waveform).detach()
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(copied(waveform), expected, rtol=0, atol=0)
        perturb(copied, seed=5)
        assert not torch.allclose(copied(waveform), expected)
        torch.testing.assert_close(layer(waveform), expected, rtol=0, atol=0)
        assert (copied.learn_window, copied.learn_mel) == (True, True)
        assert copied.learn_kernels is layer.learn_kernels


@pytest.mark.parametrize("form", FORMS)
def test_stft_inference_mode_leaves_training_as_it_was(form: str) -> None:
    layer = perturb(build(form, **SMALL, **LEARN_ALL))
    waveform = noise(2, 300)
    with torch.inference_mode():
        seen = layer(waveform)
    trained = layer(waveform)
    trained.sum().backward()
    # Parametric kernels are computed in portions where the window asks for no gradient.
    torch.testing.assert_close(seen.clone(), trained, rtol=0, atol=2e-6 if form == "parametric" else 0)
    assert all(gradient.any() for gradient in gradients(layer).values())


def test_stft_threads_do_not_disturb_each_other() -> None:
    layer = perturb(build("banded", **SMALL, **LEARN_ALL))
    clips = [noise(2, 2000, seed=seed) for seed in range(4)]
    expected = [layer(clip).detach() for clip in clips]
    found: list[list[Tensor]] = [[] for _ in clips]

    def work(place: int) -> None:
        for _ in range(5):
            output = layer(clips[place])
            torch.autograd.grad(output.sum(), layer.window.values)
            found[place].append(output.detach())

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(clips))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for outputs, value in zip(found, expected, strict=True):
        assert len(outputs) == 5
        assert all(torch.equal(output, value) for output in outputs)
