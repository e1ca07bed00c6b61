import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pictures import size_of
from torch import nn
from toydata import Toy, changed, differing, small_config

from adaspec.evaluation.evaluate import evaluate
from adaspec.evaluation.learned import Learned
from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.mel import FreeBands
from adaspec.frontends.stft.kernels import DenseKernels
from adaspec.models.classifier import AudioClassifier
from adaspec.models.saved import load, save

RATE, N_FFT = 8000, 128
BIN_HZ = RATE / N_FFT
BINS_HEADER = (
    "fold,transform,bin,start_center_hz,center_hz,center_drift_hz,start_bandwidth_hz,bandwidth_hz,bandwidth_change_hz,"
    "gain_db,change\n"
)
WINDOW, KERNELS, MEL = ({f"frontend.learn_{what}": True} for what in ("window", "kernels", "mel"))
MEL |= {"frontend.mel.form": "free"}
Change = Callable[[AdaptiveSTFT, int], None]


def unchanged(layer: AdaptiveSTFT, fold: int) -> None:
    pass


def narrowed_window(layer: AdaptiveSTFT, fold: int) -> None:
    """Twice the window's weight in its middle third, 1 % more in each further fold."""
    layer.window.values[:, N_FFT // 3 : 2 * N_FFT // 3] *= 2 + 0.01 * fold


def moved_kernels(layer: AdaptiveSTFT, fold: int) -> None:
    """Bins 20 to 29 go up by a quarter of a bin; bin 40 falls silent, bin 41 entirely; bin 50 gets louder by 6 dB."""
    assert isinstance(layer.kernels, DenseKernels)
    k, n = torch.arange(20, 30)[:, None] + 0.25, torch.arange(N_FFT)
    layer.kernels.values[:, 20:30] = (2 * torch.pi / N_FFT * k * n).cos()
    layer.kernels.values[:, 64 + 20 : 64 + 30] = -(2 * torch.pi / N_FFT * k * n).sin()
    for row, factor in ((40, 0.05), (41, 0.0), (50, 10**0.3)):
        layer.kernels.values[:, [row, 64 + row]] *= factor


def louder_mel(layer: AdaptiveSTFT, fold: int) -> None:
    assert isinstance(layer.mel, FreeBands)
    layer.mel.weights *= 1.1
    layer.mel.weights[:, :, 3] = 0


def all_of_them(layer: AdaptiveSTFT, fold: int) -> None:
    narrowed_window(layer, fold)
    moved_kernels(layer, fold)
    louder_mel(layer, fold)


def models(folder: Path, change: Change, folds: tuple[int, ...] = (1, 2), **knobs: Any) -> dict[int, AudioClassifier]:
    """Models as `evaluate` finds them: saved after a change of their front ends."""
    found = {}
    for fold in folds:
        model = AudioClassifier(small_config(folder, **knobs), ["a", "b"])
        if isinstance(model.frontend, AdaptiveSTFT):
            with torch.no_grad():
                change(model.frontend, fold)
        path = folder / "models" / f"fold-{fold}"
        path.mkdir(parents=True)
        save(model, path)
        found[fold] = load(path)
    return found


def written(learned: Learned, folder: Path) -> Path:
    (folder / "figures").mkdir(parents=True)
    learned.write(folder)
    return folder


def pictures(folder: Path) -> set[str]:
    """Names of the figures, each of which must be a picture of a size that fits a page."""
    paths = list((folder / "figures").glob("frontend_*.svg"))
    for path in paths:
        height, width = size_of(path)
        assert 300 < height < 2000, path
        assert 600 < width < 2000, path
    return {path.stem for path in paths}


@pytest.mark.parametrize("knobs", [None, {}, {"frontend.name": "fbank"}])
def test_nothing_learned_leaves_nothing(tmp_path: Path, knobs: dict[str, Any] | None) -> None:
    learned = Learned({} if knobs is None else models(tmp_path, unchanged, **knobs))
    metrics = written(learned, tmp_path / "metrics")
    assert [path.name for path in metrics.rglob("*")] == ["figures"]
    assert learned.folds == learned.mean == {}
    assert learned.lines() == []


def test_learned_window_is_measured(tmp_path: Path) -> None:
    learned = Learned(models(tmp_path, narrowed_window, **WINDOW))
    assert set(learned.folds) == {1, 2}
    hann = np.hanning(N_FFT + 1)[:-1]
    window = hann.copy()
    window[N_FFT // 3 : 2 * N_FFT // 3] *= 2.01
    length_ms, start_length_ms = (1000 / RATE * w.sum() ** 2 / (w**2).sum() for w in (window, hann))
    width_hz, start_width_hz = (RATE * (w**2).sum() / w.sum() ** 2 for w in (window, hann))
    power = N_FFT * (window**2).reshape(2, -1).sum(0)  # of both frames that a sample lies in, half a frame apart
    numbers = learned.folds[1]
    assert numbers == {
        "window_change": pytest.approx(np.linalg.norm(window - hann) / np.linalg.norm(hann), rel=1e-4),
        "window_length_ms": pytest.approx(length_ms, rel=1e-4),
        "window_length_change_ms": pytest.approx(length_ms - start_length_ms, rel=1e-4),
        "center_drift_median_hz": pytest.approx(0, abs=0.001 * BIN_HZ),
        "center_drift_max_hz": pytest.approx(0, abs=2 * BIN_HZ),  # a bin beside 0 may fall to it
        "bandwidth_median_hz": pytest.approx(width_hz, rel=1e-3),
        "bandwidth_change_median_hz": pytest.approx(width_hz - start_width_hz, rel=1e-2),
        "dead_bins": 0,
        "frame_lower": pytest.approx(power.min(), rel=1e-4),
        "frame_upper": pytest.approx(power.max(), rel=1e-4),
        "frame_condition": pytest.approx(power.max() / power.min(), rel=1e-4),
    }
    assert learned.folds[2]["window_change"] > numbers["window_change"]
    mean = np.mean([fold["window_change"] for fold in learned.folds.values()])
    assert learned.mean["window_change"] == pytest.approx(mean, rel=1e-5)
    assert set(learned.mean) == set(numbers)


def test_learned_window_table_holds_start_and_mean(tmp_path: Path) -> None:
    learned = Learned(models(tmp_path, narrowed_window, **WINDOW))
    table = pd.read_csv(written(learned, tmp_path / "metrics") / "frontend_window.csv")
    assert list(table) == ["time_ms", "start", "learned"]
    hann = np.hanning(N_FFT + 1)[:-1]
    np.testing.assert_allclose(table["time_ms"], np.arange(N_FFT) / 8)
    np.testing.assert_allclose(table["start"], hann, atol=1e-6)
    expected = np.where((np.arange(N_FFT) >= 42) & (np.arange(N_FFT) < 85), 2.015, 1) * hann  # of 2.01 and 2.02
    np.testing.assert_allclose(table["learned"], expected, atol=1e-5)


def test_learned_kernels_are_measured(tmp_path: Path) -> None:
    learned = Learned(models(tmp_path, moved_kernels, **KERNELS))
    numbers = learned.folds[2]
    assert numbers == learned.folds[1]
    assert set(numbers) == {
        *("kernel_change", "gram_error", "condition_number", "center_drift_median_hz", "center_drift_max_hz"),
        *("bandwidth_median_hz", "bandwidth_change_median_hz", "dead_bins"),
        *("frame_lower", "frame_upper", "frame_condition"),
    }
    assert numbers["center_drift_median_hz"] == pytest.approx(0, abs=1e-4)
    assert numbers["center_drift_max_hz"] == pytest.approx(BIN_HZ / 4, rel=0.01)
    assert numbers["dead_bins"] == 2
    assert numbers["condition_number"] == pytest.approx(1 / np.finfo(np.float32).eps, rel=1e-5)
    assert 0.2 < numbers["kernel_change"] < 0.5
    assert numbers["gram_error"] > 0.1
    assert list(learned.window) == ["time_ms", "start", "learned"]
    assert learned.window.empty


def test_learned_bins_table_has_a_row_per_bin(tmp_path: Path) -> None:
    learned = Learned(models(tmp_path, moved_kernels, **KERNELS))
    path = written(learned, tmp_path / "metrics") / "frontend_bins.csv"
    assert path.read_text().startswith(BINS_HEADER)
    table = pd.read_csv(path)
    assert list(table["fold"]) == [1] * 65 + [2] * 65
    assert list(table["bin"]) == [*range(65)] * 2
    assert set(table["transform"]) == {1}
    table = table[table["fold"] == 2].set_index("bin")
    np.testing.assert_allclose(table["start_center_hz"], np.arange(65) * BIN_HZ, atol=0.003 * BIN_HZ)
    np.testing.assert_allclose(table["start_bandwidth_hz"][1:-1], 1.5 * BIN_HZ, rtol=1e-3)
    np.testing.assert_allclose(table.loc[20:29, "center_drift_hz"], BIN_HZ / 4, rtol=0.01)
    still = [*range(20), *range(30, 41), *range(42, 65)]
    np.testing.assert_allclose(table.loc[still, "center_drift_hz"], 0, atol=1e-3)
    np.testing.assert_allclose(table["center_hz"] - table["start_center_hz"], table["center_drift_hz"], atol=1e-3)
    assert table.loc[41, ["center_hz", "bandwidth_hz", "center_drift_hz"]].isna().all()  # silent
    np.testing.assert_allclose(table.loc[[39, 40, 41, 50], "gain_db"], [0, 20 * np.log10(0.05), -120, 6], atol=1e-3)
    np.testing.assert_allclose(table.loc[[39, 40, 41], "change"], [0, 0.95, 1], atol=1e-4)


def test_learned_mel_is_measured(tmp_path: Path) -> None:
    learned = Learned(models(tmp_path, louder_mel, **MEL))
    assert set(learned.mean) == {"mel_change", "dead_mel_bands"}
    assert learned.mean["dead_mel_bands"] == 1
    assert 0.1 < learned.mean["mel_change"] < 0.5
    metrics = written(learned, tmp_path / "metrics")
    assert {path.name for path in metrics.iterdir()} == {"figures", "frontend.json"}
    assert pictures(metrics) == {"frontend_mel"}
    (line,) = learned.lines()
    assert line.endswith("mel bands that fell silent: 1")


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        (WINDOW, {"frontend_window", "frontend_bins"}),
        (KERNELS, {"frontend_kernels", "frontend_change", "frontend_bins"}),
        (KERNELS | {"frontend.kernels.form": "banded"}, {"frontend_kernels", "frontend_change", "frontend_bins"}),
    ],
)
def test_figures_show_what_can_be_learned(tmp_path: Path, knobs: dict[str, Any], expected: set[str]) -> None:
    def noisy(layer: AdaptiveSTFT, fold: int) -> None:
        for parameter in layer.parameters():
            if parameter.requires_grad:
                parameter += 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(fold))

    learned = Learned(models(tmp_path, noisy, (1,), **knobs))
    assert pictures(written(learned, tmp_path / "metrics")) == expected


def test_three_transforms_have_their_own_numbers_rows_and_figures(tmp_path: Path) -> None:
    def second_alone(layer: AdaptiveSTFT, fold: int) -> None:
        layer.window.values[1] *= 1.5

    knobs = WINDOW | KERNELS | MEL | {"frontend.n_transforms": 3, "frontend.window_ratio": 0.5}
    learned = Learned(models(tmp_path, second_alone, (1,), **knobs))
    changes = [learned.mean[f"transform-{number}/window_change"] for number in (1, 2, 3)]
    assert changes == [0, pytest.approx(0.5), 0]
    lengths = [learned.mean[f"transform-{number}/window_length_ms"] for number in (1, 2, 3)]
    assert lengths == pytest.approx([2 / 3 * size / 8 for size in (128, 64, 32)], rel=1e-5)
    assert all("/" in name for name in learned.mean)
    assert learned.bins.groupby("transform")["change"].max().tolist() == [0, pytest.approx(0.5), 0]
    assert learned.lines()[0].startswith("front end: window changed by 0 to 50 %, kernels changed by 0 %, ")
    table = learned.window
    assert list(table) == ["time_ms", "start", "learned", "start_2", "learned_2", "start_3", "learned_3"]
    np.testing.assert_allclose(table["learned_2"], 1.5 * table["start_2"], rtol=1e-6)
    np.testing.assert_array_equal(table["learned_3"], table["start_3"])
    assert pictures(written(learned, tmp_path / "metrics")) == {
        *("frontend_window", "frontend_bins", "frontend_change", "frontend_mel"),
        *(f"frontend_kernels_{number}" for number in (1, 2, 3)),
    }


def test_learned_twice_gives_the_same_bytes_and_another_change_others(tmp_path: Path) -> None:
    knobs = WINDOW | KERNELS | MEL
    trained = models(tmp_path, all_of_them, **knobs)
    first, second = (written(Learned(trained), tmp_path / name) for name in ("first", "second"))
    assert differing(first, second) == []
    assert pictures(first) == {f"frontend_{name}" for name in ("window", "bins", "change", "kernels", "mel")}

    def otherwise(layer: AdaptiveSTFT, fold: int) -> None:
        all_of_them(layer, fold + 5)
        assert isinstance(layer.kernels, DenseKernels)
        assert isinstance(layer.mel, FreeBands)
        layer.kernels.values *= 1.3
        layer.mel.weights[:10] += 0.1

    other = written(Learned(models(tmp_path / "other", otherwise, **knobs)), tmp_path / "third")
    files = [path.relative_to(first).as_posix() for path in first.rglob("*") if path.is_file()]
    assert differing(first, other) == sorted(files)


def test_front_end_that_fell_silent_leaves_finite_numbers(tmp_path: Path) -> None:
    def silence(layer: AdaptiveSTFT, fold: int) -> None:
        for parameter in layer.parameters():
            parameter.zero_()

    learned = Learned(models(tmp_path, silence, (1,), **WINDOW, **KERNELS, **MEL))
    metrics = written(learned, tmp_path / "metrics")
    content = json.loads((metrics / "frontend.json").read_text(), parse_constant=pytest.fail)  # no NaN, no Infinity
    assert content["window_change"] == content["kernel_change"] == content["mel_change"] == 1
    assert content["window_length_ms"] == 0
    assert content["dead_bins"] == 65
    assert content["dead_mel_bands"] > 10
    assert content["gram_error"] == 1
    assert not {name for name in content if name.startswith(("center", "bandwidth"))}  # silent bins have neither
    assert len(pictures(metrics)) == 5


@pytest.mark.parametrize("n_fft", [4, 5])
def test_smallest_transforms_can_be_drawn(tmp_path: Path, n_fft: int) -> None:
    size = {"frontend.n_fft": n_fft, "frontend.win_length": 3, "frontend.hop_length": 2, "frontend.mel.n_mels": None}
    learned = Learned(models(tmp_path, unchanged, (1,), **size, **WINDOW, **KERNELS))
    written(learned, tmp_path / "metrics")
    assert learned.mean["window_change"] == learned.mean["kernel_change"] == 0


def test_unchanged_front_end_says_so(tmp_path: Path) -> None:
    learned = Learned(models(tmp_path, unchanged, (1,), **WINDOW, **KERNELS))
    changes = {name: value for name, value in learned.mean.items() if "change" in name or "drift" in name}
    assert set(changes.values()) == {0}
    assert learned.mean["gram_error"] < 1e-6
    assert learned.mean["condition_number"] == pytest.approx(1, abs=1e-5)
    assert learned.lines() == [
        "front end: window changed by 0 %, kernels changed by 0 %, centre frequencies drifted by 0 Hz (median)"
    ]


def test_evaluation_writes_and_prints_what_was_learned(trained: tuple[Toy, Path], tmp_path: Path) -> None:
    toy, trained_models = trained
    shutil.copytree(trained_models, tmp_path / "models")
    for fold in (1, 2):
        model = AudioClassifier(changed(toy.config, **WINDOW), toy.labels)
        with torch.no_grad():
            narrowed_window(model.frontend, fold)
        save(model, tmp_path / "models" / f"fold-{fold}")
    found = evaluate(toy.clips, toy.folds, toy.config, toy.features, tmp_path / "models")
    metrics = tmp_path / "metrics" / "details"
    found.write(tmp_path / "metrics")
    assert json.loads((metrics / "frontend.json").read_text()) == found.learned.mean
    assert found.learned.mean["window_change"] > 0.1
    for fold in (1, 2):
        content = json.loads((metrics / "folds" / f"fold-{fold}.json").read_text())
        assert content.pop("frontend") == found.learned.folds[fold]
        assert content == found.report.folds[fold]
    assert pictures(metrics) == {"frontend_window", "frontend_bins"}
    assert found.lines()[-1] == found.learned.lines()[0]


class Scaled(nn.Module):
    """A front end without filters to show, which learns a factor."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([3.0, 4.0]))
        self.offset = nn.Parameter(torch.zeros(1), requires_grad=False)

    @property
    def learned(self) -> tuple[str, ...]:
        return ("factor",) if self.factor.requires_grad else ()

    def measures(self) -> dict[str, dict[str, torch.Tensor]]:
        return {}


def test_front_end_of_another_kind_tells_how_far_its_parameters_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = models(tmp_path, unchanged)
    for fold, model in trained.items():
        model.frontend = Scaled().requires_grad_(False)
        model.frontend.factor[0] += fold
    monkeypatch.setattr("adaspec.evaluation.learned.build_frontend", lambda config, sample_rate: Scaled())
    learned = Learned(trained)
    assert learned.folds == {1: {"factor_change": 0.2}, 2: {"factor_change": 0.4}}
    assert learned.mean == {"factor_change": pytest.approx(0.3)}
    metrics = written(learned, tmp_path / "metrics")
    assert {path.name for path in metrics.iterdir()} == {"figures", "frontend.json"}
    assert learned.lines() == ["front end: factor changed by 30 %"]
