"""A small set of musical clips laid out as GTZAN, for trying the pipeline without the real one.

    python benchmarks/music.py DIR [--clips 20] [--seconds 6] [--genres blues classical ...] [--seed 0]

Each "genre" has a tempo range, a drum pattern, chords, a register and a timbre of its own, drawn anew for each clip,
so that rhythm, harmony and timbre all tell something and none tells everything. It says nothing about real music.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from adaspec.runtime.files import complete_folder

RATE = 22_050
Samples = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Style:
    """What makes a genre: beats per minute, semitones of its chords, weights of its harmonics, drums on the beats."""

    tempo: tuple[float, float]
    chords: tuple[tuple[int, ...], ...]
    progression: tuple[int, ...]  # roots, in semitones
    harmonics: float  # decay of harmonics: small = bright
    odd: float  # weight of even harmonics: 0 = hollow
    attack_s: float
    kick: tuple[float, ...]  # strength on each half beat
    snare: tuple[float, ...]
    hat: float
    swing: float  # by how much the second half beat is late
    register: int  # MIDI note of the root


MAJOR, MINOR, SEVENTH, POWER, NINTH = (0, 4, 7), (0, 3, 7), (0, 4, 7, 10), (0, 7, 12), (0, 3, 7, 10, 14)
STYLES = {
    "blues": Style((70, 100), (SEVENTH,), (0, 5, 0, 7), 0.7, 1, 0.01, (1, 0, 0.6, 0), (0, 0, 1, 0), 0.3, 0.3, 45),
    "classical": Style((60, 110), (MAJOR, MINOR), (0, 5, 7, 0), 0.9, 1, 0.08, (0, 0, 0, 0), (0, 0, 0, 0), 0, 0, 60),
    "country": Style((95, 130), (MAJOR,), (0, 5, 7, 0), 0.5, 1, 0.004, (1, 0, 1, 0), (0, 0.6, 0, 0.6), 0.2, 0.1, 50),
    "disco": Style((112, 128), (MINOR,), (0, 0, 5, 7), 0.45, 1, 0.01, (1, 0, 1, 0), (0, 0, 1, 0), 1, 0, 48),
    "hiphop": Style((80, 100), (MINOR,), (0, 0, 3, 0), 0.8, 0.2, 0.02, (1, 0, 0, 0.8), (0, 0, 1, 0), 0.6, 0.15, 36),
    "jazz": Style(
        (110, 180), (NINTH, SEVENTH), (2, 7, 0, 9), 0.75, 0.6, 0.02, (0.3, 0, 0, 0), (0, 0, 0, 0.2), 0.8, 0.33, 52
    ),
    "metal": Style((130, 190), (POWER,), (0, 1, 0, 6), 0.15, 1, 0.002, (1, 1, 1, 1), (0, 0, 1, 0), 0.7, 0, 38),
    "pop": Style((95, 125), (MAJOR, MINOR), (0, 7, 9, 5), 0.5, 0.8, 0.01, (1, 0, 0.5, 0), (0, 0, 1, 0), 0.5, 0, 55),
    "reggae": Style(
        (65, 90), (MINOR, MAJOR), (0, 5, 0, 5), 0.6, 0.4, 0.005, (0, 0, 1, 0), (0, 0.4, 0, 0.4), 0.3, 0.1, 50
    ),
    "rock": Style((105, 150), (POWER, MAJOR), (0, 5, 7, 5), 0.3, 1, 0.004, (1, 0, 0.7, 0), (0, 0, 1, 0), 0.5, 0, 43),
}


def note(midi: float, n: int, style: Style, rng: np.random.Generator) -> Samples:
    """A tone of n samples: decaying harmonics, vibrato, attack and decay."""
    time = np.arange(n) / RATE
    vibrato = 1 + 0.003 * np.sin(2 * np.pi * rng.uniform(4, 6) * time)
    hertz = 440 * 2 ** ((midi - 69) / 12) * vibrato
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    n_harmonics = int(min(16, RATE / 2 / hertz.max() - 1))
    tone = np.zeros(n)
    for k in range(1, n_harmonics + 1):
        weight = np.exp(-style.harmonics * (k - 1)) * (1.0 if k % 2 else style.odd)
        tone += weight * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
    return tone * np.minimum(time / style.attack_s, 1) * np.exp(-1.5 * time) / np.sqrt(n_harmonics)


def drum(kind: str, rng: np.random.Generator) -> Samples:
    """A kick, snare or hat of up to 0.2 s."""
    time = np.arange(int(0.2 * RATE)) / RATE
    if kind == "kick":
        return np.sin(2 * np.pi * np.cumsum(50 + 120 * np.exp(-40 * time)) / RATE) * np.exp(-18 * time)
    noise = rng.standard_normal(len(time))
    if kind == "hat":
        return 0.4 * np.diff(noise, prepend=0.0) * np.exp(-70 * time)
    return 0.6 * noise * np.exp(-25 * time) + 0.4 * np.sin(2 * np.pi * 190 * time) * np.exp(-30 * time)


def clip(style: Style, seconds: float, rng: np.random.Generator) -> Samples:
    """A clip of one style, with a tempo, key and mix of its own."""
    n = int(seconds * RATE)
    mixed = np.zeros(n + 2 * RATE)
    half_beat = 30 / rng.uniform(*style.tempo)
    key = style.register + int(rng.integers(-4, 5))
    levels = {kind: rng.uniform(0.4, 1.2) for kind in ("kick", "snare", "hat", "chord", "tune")}

    def add(sound: Samples, at_s: float, level: float) -> None:
        start = int(at_s * RATE)
        if start < n:
            end = min(start + len(sound), len(mixed))
            mixed[start:end] += level * sound[: end - start]

    for step in range(int(seconds / half_beat) + 1):
        at_s = (step + (style.swing if step % 2 else 0)) * half_beat + rng.normal(0, 0.004)
        at_s = max(0.0, at_s)
        add(drum("kick", rng), at_s, levels["kick"] * style.kick[step % 4])
        add(drum("snare", rng), at_s, levels["snare"] * style.snare[step % 4])
        add(drum("hat", rng), at_s, levels["hat"] * style.hat)
        chord = style.chords[rng.integers(len(style.chords))]
        root = key + style.progression[step // 8 % len(style.progression)]
        if step % 4 == 0:
            for semitones in chord:
                add(note(root + semitones, int(4 * half_beat * RATE), style, rng), at_s, 0.5 * levels["chord"])
        if rng.random() < 0.5:
            tune = root + 12 + chord[int(rng.integers(len(chord)))]
            add(note(tune, int(rng.choice([1, 2]) * half_beat * RATE), style, rng), at_s, 0.4 * levels["tune"])
    mixed = mixed[:n] + 0.003 * rng.standard_normal(n)
    return 0.7 * mixed / np.abs(mixed).max() * 10 ** (rng.uniform(-12, 0) / 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=20, help="of each genre")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--genres", nargs="+", choices=sorted(STYLES), default=sorted(STYLES))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with complete_folder(arguments.folder / "genres") as partial:
        for genre in arguments.genres:
            (partial / genre).mkdir()
            for index in range(arguments.clips):
                rng = np.random.default_rng([arguments.seed, sorted(STYLES).index(genre), index])
                samples = clip(STYLES[genre], arguments.seconds, rng)
                soundfile.write(partial / genre / f"{genre}.{index:05d}.au", samples, RATE, subtype="PCM_16")
    print(
        f"{len(arguments.genres) * arguments.clips} clips of {arguments.seconds:g} s in {arguments.folder / 'genres'}"
    )


if __name__ == "__main__":
    main()
