"""What parts of a front end learned, in physical units: tables, numbers, figures, lines."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pictures import size_of
from torch import Tensor, nn
from toydata import small_config

from adaspec.evaluation.learned import Learned
from adaspec.evaluation.learned_measures import change_text, measure_numbers, measure_table
from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.measures import center_and_bandwidth, effective_length
from adaspec.models.classifier import AudioClassifier

RATE, N_FFT, N_MELS = 8000, 128, 16
BIN_HZ = RATE / N_FFT
MEL, LENGTH, KERNELS = ({f"frontend.learn_{what}": True} for what in ("mel", "length", "kernels"))
KERNELS |= {"frontend.kernels.form": "parametric"}
THREE = {"frontend.n_transforms": 3, "frontend.window_ratio": 0.5}


def moved(layer: AdaptiveSTFT, fold: int) -> None:
    """What is learned moves, further in each fold and transform, and later bands or bins further than earlier ones."""
    for name, parameter in layer.named_parameters():
        if parameter.requires_grad:
            n_transforms, n = parameter.shape
            size = 3.0 if "chirp" in name else 0.2
            course = torch.linspace(0, 1, n + 1)[1:] * torch.arange(1, n_transforms + 1)[:, None]
            parameter -= size * fold * course


def learned_by(root: Path, *, folds: tuple[int, ...] = (1, 2), **knobs: Any) -> tuple[Learned, dict[int, Any]]:
    """What was learned, and the front ends of the folds; as of saved models, they ask for no gradient any more."""
    models = {}
    for fold in folds:
        model = AudioClassifier(small_config(root, **knobs), ["a", "b"])
        with torch.no_grad():
            moved(model.frontend, fold)
        models[fold] = model.requires_grad_(False)
    return Learned(models), {fold: model.frontend for fold, model in models.items()}


def written(learned: Learned, folder: Path) -> set[str]:
    """Names of the files, whose figures must be pictures that fit a page."""
    (folder / "figures").mkdir(parents=True)
    learned.write(folder)
    for path in folder.rglob("*.svg"):
        height, width = size_of(path)
        assert 300 < height < 2000, path
        assert 600 < width < 2000, path
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def htk_hz(mel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return 700 * (10 ** (mel / 2595) - 1)


def test_mel_bands_are_placed_in_hz(tmp_path: Path) -> None:
    fine = {"frontend.n_fft": 1024, "frontend.mel.smooth": 1}
    learned, layers = learned_by(tmp_path, **MEL, **fine)
    assert written(learned, tmp_path / "out") == {"frontend.json", "frontend_mel.csv", "figures/frontend_mel.svg"}
    table = pd.read_csv(tmp_path / "out" / "frontend_mel.csv")
    measures = [f"{each}{end}" for each in ("center_hz", "bandwidth_hz") for end in ("", "_change")]
    assert list(table) == [
        *("fold", "transform", "index"),
        *("start_center_hz", *measures[:2], "start_bandwidth_hz", *measures[2:]),
    ]
    assert list(table["fold"]) == [1] * N_MELS + [2] * N_MELS
    assert list(table["index"]) == [*range(N_MELS)] * 2

    highest = 2595 * np.log10(1 + RATE / 2 / 700)
    points = np.linspace(0, highest, N_MELS + 2)
    rows = table[table["fold"] == 2]
    np.testing.assert_allclose(rows["start_center_hz"], htk_hz(points[1:-1]), rtol=1e-7)
    np.testing.assert_allclose(rows["start_bandwidth_hz"], (htk_hz(points[2:]) - htk_hz(points[:-2])) / 2, rtol=1e-7)

    # The triangles as they are applied: a line through the bins on either side gives edges and centre.
    hz = np.arange(513) * RATE / 1024
    lower, centers, upper = [], [], []
    for band in layers[2].mel()[0].double().numpy().T:
        peak, inside = band.argmax(), np.flatnonzero(band > 1e-3)
        rising, falling = inside[inside < peak], inside[inside > peak]
        (slope, offset), (fall, fallen) = (np.polyfit(hz[side], band[side], 1) for side in (rising, falling))
        lower.append(-offset / slope)
        upper.append(-fallen / fall)
        centers.append((1 - offset) / slope)
    centers, lower, upper = (np.array(each) for each in (centers, lower, upper))
    np.testing.assert_allclose(rows["center_hz"], centers, rtol=1e-4)
    np.testing.assert_allclose(rows["bandwidth_hz"], (upper - lower) / 2, rtol=1e-4)
    np.testing.assert_allclose(rows["center_hz"] - rows["start_center_hz"], rows["center_hz_change"], atol=1e-3)

    numbers = learned.folds[2]
    change = np.abs(centers - htk_hz(points[1:-1]))
    assert numbers["mel_center_hz_median"] == pytest.approx(np.median(centers), rel=1e-4)
    assert numbers["mel_center_hz_change_median"] == pytest.approx(np.median(change), rel=1e-3)
    assert numbers["mel_center_hz_change_max"] == pytest.approx(change.max(), rel=1e-3)
    assert {name for name in numbers if "hz" not in name} == {"mel_change", "dead_mel_bands"}
    mean = learned.mean["mel_center_hz_change_median"]
    changes = [each["mel_center_hz_change_median"] for each in learned.folds.values()]
    assert mean == pytest.approx(np.mean(changes), rel=1e-5)
    assert learned.lines()[0].startswith(
        f"front end: mel centre frequency changed by {round(mean, -1):.0f} Hz (median), mel "
    )


def test_one_window_length_is_a_number_in_ms(tmp_path: Path) -> None:
    learned, layers = learned_by(tmp_path, **LENGTH)
    lengths = {}
    for fold, layer in layers.items():
        ratio = float(effective_length(layer.windows()) / effective_length(layer.window()))
        lengths[fold] = 16 * ratio  # 128 samples at 8 kHz
        assert {name: value for name, value in learned.folds[fold].items() if "length" in name} == {
            "length_ms": pytest.approx(lengths[fold], rel=1e-3),
            "length_ms_change": pytest.approx(lengths[fold] - 16, rel=1e-2),
        }
    assert learned.lines() == [f"front end: window length 16 -> {np.mean(list(lengths.values())):.3g} ms"]
    files = written(learned, tmp_path / "out")
    assert files == {"frontend.json", "frontend_length.csv", "figures/frontend_length.svg"}


def test_kernels_are_measured_as_their_filters_are(tmp_path: Path) -> None:
    learned, layers = learned_by(tmp_path, **KERNELS)
    table = learned.measures["kernels"]
    rows = table[table["fold"] == 2].reset_index(drop=True)
    np.testing.assert_allclose(rows["start_center_hz"], np.arange(65) * BIN_HZ)
    assert set(rows["start_chirp_hz_per_s"]) == {0}
    assert set(rows["start_length_ms"]) == {16}

    filters = layers[2].filters()[0]
    center_hz, _ = center_and_bandwidth(filters, RATE)
    inner = slice(5, 60)  # away from 0 and half the rate, where the mirror image counts too
    np.testing.assert_allclose(rows["center_hz"][inner], center_hz[inner], atol=0.02 * BIN_HZ)
    # Phase around the middle, where the window is large: its second difference is the chirp rate.
    middle = filters[:, N_FFT // 2 - 8 : N_FFT // 2 + 9].to(torch.complex128)
    turn = (middle[:, 2:] * middle[:, :-2] / middle[:, 1:-1] ** 2).angle().mean(-1)
    np.testing.assert_allclose(rows["chirp_hz_per_s"], -turn / (2 * np.pi) * RATE**2, atol=2.0)
    assert rows["chirp_hz_per_s"].min() < -10_000
    length_ms = 16 * effective_length(filters.abs()) / effective_length(torch.hann_window(N_FFT))
    np.testing.assert_allclose(rows["length_ms"], length_ms, rtol=1e-2)

    numbers = learned.folds[2]
    assert numbers["kernels_length_ms_median"] == pytest.approx(rows["length_ms"].median(), rel=1e-5)
    assert numbers["kernels_chirp_hz_per_s_change_max"] == pytest.approx(rows["chirp_hz_per_s"].abs().max(), rel=1e-5)
    assert {"kernel_change", "gram_error", "dead_bins", "center_drift_median_hz"} <= set(numbers)
    assert "drifted" not in learned.lines()[0]
    assert written(learned, tmp_path / "out") == {
        *("frontend.json", "frontend_kernels.csv", "frontend_bins.csv"),
        *(f"figures/frontend_{name}.svg" for name in ("kernels", "bins", "change")),
    }


def test_compression_is_measured_band_by_band(tmp_path: Path) -> None:
    pcen = {"frontend.compression.name": "pcen", "frontend.learn_compression": True}
    learned, _ = learned_by(tmp_path, folds=(1,), **pcen)
    ratios = np.exp(-0.2 * np.arange(1, N_MELS + 1) / N_MELS)
    table = learned.measures["compression"]
    starts = {"time_constant_ms": 400, "gain": 0.98, "bias": 2, "power": 0.5}
    for name, start in starts.items():
        np.testing.assert_array_equal(table[f"start_{name}"], start)
        np.testing.assert_allclose(table[name], start * ratios, rtol=1e-6)
        assert learned.mean[f"compression_{name}_median"] == pytest.approx(start * np.median(ratios), rel=1e-5)
    assert len(learned.mean) == 12
    assert learned.lines()[0].startswith(
        "front end: compression time constant changed by 40 ms (median), compression ga"
    )
    assert written(learned, tmp_path / "out") == {
        *("frontend.json", "frontend_compression.csv", "figures/frontend_compression.svg")
    }


def test_compression_beside_a_phase_is_measured_per_transform(tmp_path: Path) -> None:
    pcen = {"frontend.compression.name": "pcen", "frontend.learn_compression": True, "frontend.phase": "group_delay"}
    learned, layers = learned_by(tmp_path, folds=(1,), **pcen)
    assert layers[1].n_channels == 2
    assert set(learned.measures["compression"]["transform"]) == {1}
    assert len(learned.measures["compression"]) == N_MELS


def test_one_compression_for_all_bands_is_told_in_single_numbers(tmp_path: Path) -> None:
    pcen = {"frontend.compression.name": "pcen", "frontend.learn_compression": True}
    shared = {"frontend.compression.pcen.shared": True}
    learned, _ = learned_by(tmp_path, folds=(1,), **pcen, **shared)
    assert learned.mean["compression_time_constant_ms"] == pytest.approx(400 * np.exp(-0.2), rel=1e-5)
    assert learned.mean["compression_gain_change"] == pytest.approx(0.98 * (np.exp(-0.2) - 1), rel=1e-5)
    assert learned.lines() == [
        "front end: compression time constant 400 -> 327 ms, compression gain 0.98 -> 0.802, "
        "compression bias 2 -> 1.64, compression power 0.5 -> 0.409"
    ]
    written(learned, tmp_path / "out")


def test_three_transforms_have_measures_each(tmp_path: Path) -> None:
    learned, _ = learned_by(tmp_path, folds=(1,), **MEL, **LENGTH, **THREE)
    ratios = np.exp([-0.2, -0.4, -0.6])
    lengths = [16, 8, 4] * ratios
    assert [learned.mean[f"transform-{number}/length_ms"] for number in (1, 2, 3)] == pytest.approx(lengths, rel=1e-5)
    changes = [learned.mean[f"transform-{number}/mel_center_hz_change_median"] for number in (1, 2, 3)]
    assert changes == sorted(changes)
    assert all("/" in name for name in learned.mean)
    (line,) = learned.lines()
    assert "window length 16 -> 13.1, 8 -> 5.36, 4 -> 2.2 ms" in line
    least, most = (f"{float(f'{change:.2g}'):g}" for change in (changes[0], changes[2]))
    assert f"mel centre frequency changed by {least} to {most} Hz (median)" in line
    assert written(learned, tmp_path / "out") == {
        "frontend.json",
        *(f"frontend_{part}.csv" for part in ("mel", "length")),
        *(f"figures/frontend_{part}.svg" for part in ("mel", "length")),
    }


def test_groups_of_bands_have_lengths_over_their_index(tmp_path: Path) -> None:
    learned, _ = learned_by(tmp_path, folds=(1,), **LENGTH, **{"frontend.length_groups": 4})
    lengths = 16 * np.exp([-0.05, -0.1, -0.15, -0.2])
    np.testing.assert_allclose(learned.measures["length"]["length_ms"], lengths, rtol=1e-6)
    assert {name: value for name, value in learned.mean.items() if "length" in name} == {
        "length_ms_median": pytest.approx(np.median(lengths), rel=1e-5),
        "length_ms_change_median": pytest.approx(np.median(16 - lengths), rel=1e-5),
        "length_ms_change_max": pytest.approx(16 - lengths[3], rel=1e-5),
    }
    assert written(learned, tmp_path / "out") == {
        *("frontend.json", "frontend_length.csv", "figures/frontend_length.svg")
    }


def test_parts_that_are_not_learned_are_not_measured(tmp_path: Path) -> None:
    learned, _ = learned_by(tmp_path, folds=(1,), **{"frontend.learn_window": True})
    assert learned.measures == {}
    assert not {name for name in learned.mean if name.startswith("mel")}


class Gains(nn.Module):
    """A front end of another kind, which learns two pure numbers."""

    def __init__(self, gains: tuple[float, float] = (1.0, 2.0)) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([gains]))

    learned = ("gain",)

    def measures(self) -> dict[str, dict[str, Tensor]]:
        return {"gain": {"loudness": self.gain}}


def test_front_end_of_another_kind_offers_measures_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = AudioClassifier(small_config(tmp_path), ["a", "b"])
    model.frontend = Gains((1.5, 4.0))
    monkeypatch.setattr("adaspec.evaluation.learned.build_frontend", lambda config, sample_rate: Gains())
    learned = Learned({1: model})
    change = np.hypot(0.5, 2) / np.hypot(1, 2)
    assert learned.mean == {
        "gain_change": pytest.approx(change, rel=1e-5),
        "gain_loudness_median": 2.75,
        "gain_loudness_change_median": 1.25,
        "gain_loudness_change_max": 2,
    }
    assert learned.lines() == [
        f"front end: gain changed by {100 * change:.2g} %, gain loudness changed by 1.2 (median)"
    ]
    written(learned, tmp_path / "out")


def test_single_values_of_several_measures_keep_their_signs() -> None:
    table = measure_table(
        {"gain": torch.ones(1, 1), "delay_ms": torch.ones(1, 1)},
        {
            "gain": torch.full((1, 1), 0.5),
            "delay_ms": torch.full((1, 1), 210.0),
        },
    )
    assert measure_numbers("agc", table) == {
        "agc_gain": 0.5,
        "agc_gain_change": -0.5,
        "agc_delay_ms": 210,
        "agc_delay_ms_change": 209,
    }
    table["fold"] = 1
    assert change_text("agc", "gain", table) == "agc gain 1 -> 0.5"
    assert change_text("agc", "delay_ms", table) == "agc delay 1 -> 210 ms"
