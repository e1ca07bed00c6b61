from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor
from toydata import small_config

from adaspec.config.augment import Family
from adaspec.errors import InputError
from adaspec.tasks import build_task
from adaspec.tasks.spoofing.resynthesis import FAMILIES, replace_spoofs, resynthesize, shortest

RATE, NAMES = 8000, ["bonafide", "spoof"]
METHODS = {method.__name__: method for methods in FAMILIES.values() for method in methods}


def speech(n_clips: int = 4, n_samples: int = 8000) -> Tensor:
    """Pulses at a gliding pitch through two resonances, with noise."""
    random = torch.Generator().manual_seed(0)
    pitch = 110 + 20 * torch.rand(n_clips, 1, generator=random) + torch.linspace(0, 15, n_samples)
    pulses = torch.nn.functional.pad((pitch / RATE).cumsum(dim=1).floor().diff(dim=1), (1, 0))
    spectra = torch.fft.rfft(pulses + 0.02 * torch.randn(n_clips, n_samples, generator=random))
    frequency = torch.linspace(0, RATE / 2, spectra.shape[1])
    formants = sum(1 / (1 + ((frequency - centre) / 120) ** 2) for centre in (500.0, 1500.0))
    waveforms = torch.fft.irfft(spectra * formants, n=n_samples)
    return 0.05 * waveforms / waveforms.std(dim=1, keepdim=True)


def log_spectrum(waveforms: Tensor) -> Tensor:
    spectra = torch.stft(waveforms, 256, 64, window=torch.hann_window(256), return_complex=True)
    return (spectra.abs().square().mean(dim=2) + 1e-6).log()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("n_samples", [8000, 4001])
def test_method_changes_speech_and_leaves_it_speech(name: str, n_samples: int) -> None:
    torch.manual_seed(1)
    method = METHODS[name]
    original = speech(n_samples=n_samples)
    for _ in range(5):
        made = method(original, RATE)
        assert made.shape == original.shape
        assert made.isfinite().all()
        assert (made - original).square().mean() > 1e-4 * original.square().mean()
        # The long-term spectrum has the same hills: random speech would not correlate.
        both = torch.stack([log_spectrum(made).flatten(), log_spectrum(original).flatten()])
        assert torch.corrcoef(both)[0, 1] > 0.5


@pytest.mark.parametrize("name", METHODS)
def test_method_repeats_with_its_seed(name: str) -> None:
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(METHODS[name](speech(3), RATE))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("kind", ["silence", "impulse", "constant", "one"])
def test_resynthesis_is_finite_whatever_comes(rate: int, kind: str) -> None:
    waveforms = torch.zeros(1 if kind == "one" else 9, 3000)
    if kind == "impulse":
        waveforms[:, 1000] = 1.0
    if kind == "constant":
        waveforms += 0.5
    for seed in range(25):
        torch.manual_seed(seed)
        made = resynthesize(waveforms, list(FAMILIES), rate)
        assert made.shape == waveforms.shape
        assert made.isfinite().all()


def test_resynthesis_keeps_the_level_of_each_clip() -> None:
    torch.manual_seed(0)
    waveforms = speech(12) * torch.logspace(-2, 0, 12)[:, None]
    made = resynthesize(waveforms, list(FAMILIES), RATE)
    torch.testing.assert_close(made.square().mean(dim=1), waveforms.square().mean(dim=1), rtol=1e-3, atol=0)


def test_resynthesis_keeps_what_is_heard_in_pauses() -> None:
    waveforms = speech(8)
    waveforms[:, 3000:5000] = 0.001 * torch.randn(8, 2000, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    made = resynthesize(waveforms, list(FAMILIES), RATE)
    pause, factor = slice(3500, 4500), made[:, 4000:4001] / waveforms[:, 4000:4001]
    torch.testing.assert_close(made[:, pause], factor * waveforms[:, pause], rtol=1e-3, atol=1e-6)
    assert ((factor > 0.8) & (factor < 1.25)).all()
    assert ((made - waveforms)[:, :2500].square().mean(dim=1) > 1e-4 * waveforms[:, :2500].square().mean(dim=1)).all()


def test_resynthesis_mostly_keeps_the_long_term_spectrum() -> None:
    waveforms, distances = speech(4), []
    for seed in range(40):
        torch.manual_seed(seed)
        made = resynthesize(waveforms, ["vocoders"], RATE)
        distances.append(float((log_spectrum(made) - log_spectrum(waveforms)).abs().mean()))
    assert sum(distance < 0.6 for distance in distances) > 20, distances


def test_resynthesis_takes_the_methods_of_its_families() -> None:
    assert set(get_args(Family)) == set(FAMILIES)
    made = {}
    for family in FAMILIES:
        torch.manual_seed(1)
        made[family] = resynthesize(speech(4), [family], RATE)
    torch.manual_seed(1)
    assert torch.equal(resynthesize(speech(4), ["codecs"], RATE), made["codecs"])
    assert len({copies.numpy().tobytes() for copies in made.values()}) == len(FAMILIES)


def test_resynthesis_repeats_with_its_seed() -> None:
    waveforms = speech(9)
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(resynthesize(waveforms, list(FAMILIES), RATE))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_replace_spoofs_takes_the_place_of_spoofed_clips_alone() -> None:
    waveforms, labels = speech(40), torch.tensor([0, 1, 1, 1] * 10)
    torch.manual_seed(0)
    replaced, sources = replace_spoofs(waveforms, labels, NAMES, 0.5, list(FAMILIES), RATE)
    changed = (replaced != waveforms).any(dim=1)
    assert torch.equal(sources != torch.arange(40), changed)
    assert (labels[sources[changed]] == 0).all()
    assert not changed[labels == 0].any()
    assert 0.2 < changed[labels == 1].float().mean() < 0.8
    assert torch.equal(replace_spoofs(waveforms, labels, NAMES, 0.0, list(FAMILIES), RATE)[0], waveforms)
    all_spoofed = torch.ones(40, dtype=torch.int64)
    assert torch.equal(replace_spoofs(waveforms, all_spoofed, NAMES, 1.0, list(FAMILIES), RATE)[0], waveforms)


def test_resynthesis_of_silence_replaces_nothing() -> None:
    waveforms = speech(8)
    waveforms[:4] = 0
    labels = torch.tensor([0] * 4 + [1] * 4)
    torch.manual_seed(0)
    replaced, sources = replace_spoofs(waveforms, labels, NAMES, 1.0, list(FAMILIES), RATE)
    assert torch.equal(replaced, waveforms)
    assert torch.equal(sources, torch.arange(8))


def test_resynthesis_changes_speech_beside_a_click() -> None:
    waveforms = speech(4)
    waveforms[:, 4000:4004] = 20.0
    torch.manual_seed(0)
    made = resynthesize(waveforms, ["vocoders"], RATE)
    assert ((made - waveforms)[:, :3000].square().mean(dim=1) > 0.01 * waveforms[:, :3000].square().mean(dim=1)).all()


def test_interpolated_frames_stay_where_they_are() -> None:
    time = torch.arange(8000) / RATE
    waveforms = speech(4) * torch.exp(-0.5 * ((time - 0.75) / 0.08) ** 2)
    centres = []
    for seed in range(40):
        torch.manual_seed(seed)
        energy = METHODS["interpolate_frames"](waveforms, RATE).square().sum(dim=0)
        centres.append(float((energy * time).sum() / energy.sum()))
    energy = waveforms.square().sum(dim=0)
    assert sum(centres) / len(centres) == pytest.approx(float((energy * time).sum() / energy.sum()), abs=0.015)


@pytest.mark.parametrize("name", ["swap_envelopes", "filter_anew"])
def test_one_clip_alone_is_changed_by_what_swaps_clips(name: str) -> None:
    for seed in range(60):
        torch.manual_seed(seed)
        waveforms = speech(1, 2000)
        assert (METHODS[name](waveforms, RATE) - waveforms).square().mean() > 1e-5 * waveforms.square().mean()


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050])
def test_windows_shorter_than_frames_are_refused_and_the_shortest_works(tmp_path: Path, rate: int) -> None:
    knobs = {"audio.sample_rate": rate, "augment.resynthesis.share": 0.5, "frontend.n_fft": 64}
    length_s = shortest(rate) / rate
    build_task(NAMES, small_config(tmp_path, **knobs, **{"features.window.length_s": length_s}))
    with pytest.raises(InputError, match=r"length_s=0.02 is too short for augment.resynthesis.share=0.5.*at least"):
        build_task(NAMES, small_config(tmp_path, **knobs, **{"features.window.length_s": 0.02}))
    waveforms = speech(n_samples=shortest(rate))
    for method in METHODS.values():
        for seed in range(5):
            torch.manual_seed(seed)
            assert method(waveforms, rate).isfinite().all()
