"""What every attribute keeps to, over the registry."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import SOUNDS, noise_bursts, speech_like, tone_complex

from adaspec.attributes import ATTRIBUTES, Clip, Samples, change, change_db
from adaspec.attributes.reference import attributes_table
from adaspec.errors import InputError

LEVELS = (1, 2, 3, 4, 5)
NAMES = sorted(ATTRIBUTES)
each_attribute = pytest.mark.parametrize("name", NAMES)


def clip_of(samples: Samples, sample_rate: int = 8000, seed: int = 0) -> Clip:
    return Clip(samples, sample_rate, np.random.default_rng(seed), (tone_complex(sample_rate, 0.7),))


def rms(samples: Samples) -> float:
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean()))


@each_attribute
def test_level_0_is_the_clip_itself(name: str) -> None:
    clip = clip_of(speech_like(8000, 0.5))
    assert change(name, 0, clip) is clip.samples
    assert clip.rng.random() == np.random.default_rng(0).random()


@each_attribute
def test_severities_go_one_way(name: str) -> None:
    steps = np.diff(ATTRIBUTES[name].severities)
    assert (steps > 0).all() or (steps < 0).all()


@each_attribute
def test_same_seed_same_bytes_and_another_seed_others(name: str) -> None:
    samples = speech_like(8000, 0.5)
    clip = clip_of(samples)
    changed = change(name, 4, clip)
    assert changed.dtype == np.float32
    assert changed.tobytes() == change(name, 4, clip_of(samples)).tobytes()
    draws = clip.rng.bit_generator.state != np.random.default_rng(0).bit_generator.state
    others = {change(name, 4, clip_of(samples, seed=seed)).tobytes() for seed in range(8)}
    assert (len(others) > 1) is draws


@pytest.mark.parametrize("sample_rate", [8000, 44100])
@each_attribute
def test_change_grows_with_severity(name: str, sample_rate: int) -> None:
    """For each sound, up to 1.5 dB where codecs and lines of a spectrum are in play; over all of them, throughout."""
    sizes = np.array([_sizes(name, sound(sample_rate), sample_rate) for sound in SOUNDS])
    assert (np.diff(sizes, axis=1) > -1.5).all(), sizes
    assert (sizes[:, -1] > sizes[:, 0] + 1).all(), sizes
    assert (np.diff(sizes.mean(axis=0)) > 0).all(), sizes


def _sizes(name: str, samples: Samples, sample_rate: int) -> list[float]:
    return [change_db(name, samples, change(name, level, clip_of(samples, sample_rate))) for level in LEVELS]


@each_attribute
def test_level_is_kept_unless_it_is_the_attribute(name: str) -> None:
    samples = 0.1 * speech_like(8000)
    levels = [rms(change(name, level, clip_of(samples))) / rms(samples) for level in LEVELS]
    assert (np.abs(np.array(levels) - 1) < 1e-4).all() is np.bool_(ATTRIBUTES[name].keeps_level), levels


@each_attribute
def test_clip_that_keeps_time_keeps_its_length(name: str) -> None:
    samples = noise_bursts(8000, 0.7001)
    changed = change(name, 3, clip_of(samples))
    assert (len(changed) == len(samples)) is (name not in ("speed", "time_stretch", "silence"))
    assert len(changed) == len(samples) or not ATTRIBUTES[name].keeps_time


@each_attribute
def test_between_two_levels_the_severity_lies_between_theirs(name: str) -> None:
    third, fourth = ATTRIBUTES[name].severities[2:4]
    assert ATTRIBUTES[name].severity(3.5) == pytest.approx((third + fourth) / 2)
    samples = speech_like(8000, 0.5)
    assert change(name, 3.5, clip_of(samples)).tobytes() != change(name, 3, clip_of(samples)).tobytes()


SHAPES: dict[str, Callable[[int, int], Samples]] = {
    "silence": lambda n, _: np.zeros(n, np.float32),
    "constant": lambda n, _: np.full(n, 0.3, np.float32),
    "loud noise": lambda n, seed: np.random.default_rng(seed).uniform(-1, 1, n).astype(np.float32),
    "full scale": lambda n, seed: np.random.default_rng(seed).choice([-1, 1], n).astype(np.float32),
    "one sample": lambda n, seed: (np.arange(n) == seed % n).astype(np.float32),
    "faint": lambda n, seed: (1e-6 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32),
}


@each_attribute
@settings(max_examples=12)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    n_samples=st.integers(10, 3000),
    sample_rate=st.sampled_from([4000, 8000, 11025, 16000, 22050, 37800, 44100, 48000, 96000, 384000]),
    level=st.floats(1, 5),
    seed=st.integers(0, 99),
)
def test_any_clip_gives_finite_samples_within_full_scale(
    name: str, shape: str, n_samples: int, sample_rate: int, level: float, seed: int
) -> None:
    samples = SHAPES[shape](n_samples, seed)
    changed = change(name, level, Clip(samples, sample_rate, np.random.default_rng(seed)))
    assert changed.dtype == np.float32
    assert changed.ndim == 1
    assert len(changed) > 0
    assert np.isfinite(changed).all()
    assert np.abs(changed).max() <= 1
    assert np.isfinite(change_db(name, samples, changed))
    if shape == "silence":
        assert np.abs(changed).max() < 1e-9


@each_attribute
def test_size_of_no_change_and_of_sound_out_of_silence(name: str) -> None:
    sound, silence = speech_like(8000, 0.3), np.zeros(2400, np.float32)
    nothing = change_db(name, sound, sound)
    assert nothing == (-120 if ATTRIBUTES[name].keeps_time else 0)
    assert change_db(name, silence, silence) == nothing
    assert change_db(name, silence, sound) > (100 if ATTRIBUTES[name].keeps_time else 30)


@pytest.mark.parametrize(("level", "told"), [(0.5, "level=0.5"), (5.1, "level=5.1"), (float("nan"), "level=nan")])
def test_level_out_of_range_is_told(level: float, told: str) -> None:
    with pytest.raises(InputError, match=f"^{told} is not allowed: it must be 0, for no change, or from 1 to 5$"):
        change("gain", level, clip_of(speech_like(8000, 0.1)))


def test_unknown_attribute_is_told_with_those_that_exist() -> None:
    with pytest.raises(InputError, match=r"^attribute 'mp4' is not known; use one of white_noise, .*, time_stretch$"):
        change("mp4", 0, clip_of(speech_like(8000, 0.1)))


def test_page_has_the_table_of_the_registry() -> None:
    """`python -m adaspec.attributes.reference` writes it."""
    page = Path(__file__).parents[2] / "docs/robustness.md"
    assert attributes_table() in page.read_text(encoding="utf-8")
