"""A severity is what its unit says: measured on sounds of which the answer is known."""

import numpy as np
import pytest
from sounds import noise_bursts, speech_like

from adaspec.attributes import ATTRIBUTES, Clip, Samples

SAMPLE_RATE = 16000


def changed_by(
    name: str, severity: float, samples: Samples, *, seed: int = 0, others: tuple[Samples, ...] = ()
) -> Samples:
    """Change a clip, before its level is restored."""
    return ATTRIBUTES[name].change(Clip(samples, SAMPLE_RATE, np.random.default_rng(seed), others), severity)


def tone(hz: float, n_s: float = 1.0) -> Samples:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(int(n_s * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


def loudest_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * SAMPLE_RATE))
    return float(spectrum.argmax()) / 8


def power(samples: Samples) -> float:
    return float(np.square(samples, dtype=np.float64).mean())


def gain_db(name: str, severity: float, hz: float) -> float:
    inside = slice(SAMPLE_RATE // 4, -SAMPLE_RATE // 4)
    return 10 * np.log10(power(changed_by(name, severity, tone(hz))[inside]) / power(tone(hz)[inside]))


@pytest.mark.parametrize("name", ["white_noise", "colored_noise", "babble"])
def test_noise_has_the_ratio_asked_for(name: str) -> None:
    samples = speech_like(SAMPLE_RATE)
    noise = changed_by(name, 12, samples, others=(noise_bursts(SAMPLE_RATE, 0.6),)) - samples
    assert 10 * np.log10(power(samples) / power(noise)) == pytest.approx(12, abs=0.01)


def test_colored_noise_is_pink_or_brown() -> None:
    slopes = set()
    for seed in range(6):
        samples = tone(1000, 4)
        spectrum = np.square(np.abs(np.fft.rfft(changed_by("colored_noise", 0, samples, seed=seed) - samples)))
        octaves = [10 * np.log10(spectrum[low : 2 * low].mean()) for low in (400, 800, 1600, 3200, 6400, 12800)]
        slopes.add(round(float(np.polyfit(range(6), octaves, 1)[0]) / 3))  # -3 or -6 dB per octave
    assert slopes == {-1, -2}


def test_babble_is_of_other_clips_where_there_are_some() -> None:
    samples, other = speech_like(SAMPLE_RATE), tone(3000)
    silent = np.zeros(100, np.float32)
    assert loudest_hz(changed_by("babble", 0, samples, others=(silent, other)) - samples) == pytest.approx(3000, abs=5)
    own = changed_by("babble", 0, samples, others=(silent,)) - samples
    assert np.abs(np.fft.rfft(own)) == pytest.approx(np.abs(np.fft.rfft(samples)), rel=0.01, abs=0.1)


def test_gain_rounds_to_16_bits() -> None:
    changed = changed_by("gain", 40, tone(440)) * 2**15
    assert (changed == np.rint(changed)).all()
    assert np.abs(changed).max() == np.rint(0.003 * 2**15)


def test_clipping_cuts_at_so_many_db_below_the_peak() -> None:
    changed = changed_by("clipping", 6.0206, tone(100))
    assert np.abs(changed).max() == 1
    assert (np.abs(changed) == 1).mean() == pytest.approx(2 / 3, abs=0.01)  # a sine is above half its peak so long


def test_mu_law_of_8_bits_is_as_good_as_the_telephone() -> None:
    samples = speech_like(SAMPLE_RATE)
    for bits, signal_to_noise_db in ((8, 38), (7, 32)):
        noise = changed_by("mu_law", bits, samples) * np.abs(samples).max() - samples
        assert 10 * np.log10(power(samples) / power(noise)) == pytest.approx(signal_to_noise_db, abs=1.5)
    assert len(np.unique(changed_by("mu_law", 3, samples))) == 7


@pytest.mark.parametrize(
    ("name", "severity", "hz", "expected_db"),
    [
        ("low_pass", 1, 4000, -3.01),
        ("low_pass", 1, 2000, 0),
        ("low_pass", 2, 4000, -48.2),
        ("telephone", 4, 250, -3.01),
        ("telephone", 4, 1000, 0),
        ("telephone", 4, 4000, -3.01),
        ("telephone", 4, 125, -48.2),
        ("phase", 90, 1000, 0),
    ],
)
def test_filter_has_its_edges(name: str, severity: float, hz: float, expected_db: float) -> None:
    assert gain_db(name, severity, hz) == pytest.approx(expected_db, abs=0.05 if expected_db > -10 else 1)


def test_equalizer_reaches_its_gain_and_no_more() -> None:
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[SAMPLE_RATE // 2] = 1
    response = 20 * np.log10(np.abs(np.fft.rfft(changed_by("equalizer", 9, click))))
    assert np.abs(response).max() == pytest.approx(9, abs=0.3)


def test_phase_of_180_degrees_is_the_opposite_polarity() -> None:
    samples = speech_like(SAMPLE_RATE)
    assert changed_by("phase", 180, samples) == pytest.approx(-samples, abs=1e-6)
    quarter = changed_by("phase", 90, tone(1000))[4000:-4000]
    assert quarter == pytest.approx(tone(1000)[4004:-3996], abs=1e-3)  # a quarter of its 16 samples earlier


def test_aliasing_mirrors_what_lies_above_half_the_lower_rate() -> None:
    assert loudest_hz(changed_by("aliasing", 4, tone(2500))) == pytest.approx(1500, abs=1)
    assert loudest_hz(changed_by("aliasing", 4, tone(1500))) == pytest.approx(1500, abs=1)


@pytest.mark.parametrize("rt60_s", [0.4, 1.5])
def test_reverberation_decays_by_60_db_in_its_time(rt60_s: float) -> None:
    click = np.zeros(3 * SAMPLE_RATE, np.float32)
    click[0] = 1
    response = changed_by("reverb", rt60_s, click)
    assert response[0] == pytest.approx(1, abs=1e-3)
    left = np.cumsum(np.square(response[1:], dtype=np.float64)[::-1])[::-1]  # Schroeder's decay curve
    decay_db = 10 * np.log10(left / left[0] + 1e-12)
    fifth, thirtieth = (int(np.argmax(decay_db < -db)) for db in (5, 30))
    assert (thirtieth - fifth) / SAMPLE_RATE * 60 / 25 == pytest.approx(rt60_s, rel=0.1)


def test_silence_is_added_at_both_ends() -> None:
    changed = changed_by("silence", 0.25, tone(440))
    assert len(changed) == 1.5 * SAMPLE_RATE
    assert changed[4000:-4000].tobytes() == tone(440).tobytes()
    assert not changed[:4000].any()
    assert not changed[-4000:].any()


@pytest.mark.parametrize(
    ("name", "severity", "hz", "n_s"),
    [("pitch", 12, {440, 1760}, {1}), ("speed", 2, {440, 1760}, {0.5, 2}), ("time_stretch", 2, {880}, {0.5, 2})],
)
def test_pitch_and_pace_move_as_far_as_asked_either_way(
    name: str, severity: float, hz: set[int], n_s: set[float]
) -> None:
    results = [changed_by(name, severity, tone(880), seed=seed) for seed in range(8)]
    assert {round(loudest_hz(each)) for each in results} == hz
    assert {len(each) / SAMPLE_RATE for each in results} == n_s
    for each in results:  # of an even level
        inside = np.square(each[1000:-1000])
        assert inside[: len(inside) // 3].mean() == pytest.approx(inside[-len(inside) // 3 :].mean(), rel=0.1)
        assert inside.mean() == pytest.approx(power(tone(880)), rel=0.1)
