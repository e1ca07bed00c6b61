"""Figures of what the front end learned: a row per transform, in grey what training started from, a line per fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from adaspec.evaluation.learned_panels import START, decibels, draw_lines, legend, panels, titled
from adaspec.frontends.measures import DEAD_SHARE, power_response
from adaspec.runtime.figures import save_figure

__all__ = ["draw_bins", "draw_change", "draw_kernels", "draw_mel", "draw_windows"]

Array = npt.NDArray[np.floating]
Complex = npt.NDArray[np.complexfloating]

FLOOR_DB = -90.0
DIVERGING = "RdBu_r"


def draw_windows(start: Array, folds: dict[int, Array], sample_rate: int, path: Path) -> None:
    """Draw windows in time, their change, and their frequency responses, each relative to its own peak.

    Parameters
    ----------
    start : ndarray of shape (n_transforms, win_length)
    folds : dict of int to ndarray
        Fold -> learned windows, of the same shape.
    sample_rate : int
        In Hz.
    path : Path
    """
    win_length = start.shape[1]
    time_ms = np.arange(win_length) * 1000 / sample_rate
    n_points = 16 * win_length
    frequency = np.arange(n_points // 2 + 1) * sample_rate / n_points
    near = frequency <= 12 * sample_rate / win_length

    def response(window: Array) -> Array:
        return decibels(np.abs(np.fft.rfft(window, n_points))[near] ** 2)

    figure, rows = panels(len(start), 3, 4.4, 3.2)
    for transform, (left, middle, right) in enumerate(rows):
        windows = {fold: window[transform] for fold, window in folds.items()}
        mean = np.mean(list(windows.values()), axis=0)
        draw_lines(left, time_ms, start[transform], windows, mean)
        left.set(title=titled("Window", transform, len(start)), xlabel="time (ms)", ylabel="weight")
        changes = {fold: window - start[transform] for fold, window in windows.items()}
        draw_lines(middle, time_ms, np.zeros(win_length), changes, mean - start[transform])
        middle.set(title=titled("Its change", transform, len(start)), xlabel="time (ms)", ylabel="weight")
        responses = {fold: response(window) for fold, window in windows.items()}
        draw_lines(right, frequency[near], response(start[transform]), responses, response(mean), above=FLOOR_DB)
        right.set(title=titled("Its frequency response", transform, len(start)))
        right.set(xlabel="frequency (Hz)", ylabel="relative to its peak (dB)", ylim=(FLOOR_DB, 3))
    legend(figure, rows[0][0])
    save_figure(figure, path)


def draw_kernels(start: Complex, folds: dict[int, Complex], sample_rate: int, path: Path) -> None:
    """Draw four filters of one transform, spread over the range: a few periods, envelope, frequency response.

    Parameters
    ----------
    start : ndarray of shape (n_freqs, n_fft)
        With the window.
    folds : dict of int to ndarray
        Fold -> learned filters, of the same shape.
    sample_rate : int
        In Hz.
    path : Path
    """
    n_freqs, n_fft = start.shape
    bins = sorted({max(1, round(share * (n_freqs - 1))) for share in (1 / 32, 1 / 8, 1 / 3, 3 / 4)})
    time_ms = np.arange(n_fft) * 1000 / sample_rate
    n_points = 4 * n_fft
    frequency = np.arange(n_points // 2 + 1) * sample_rate / n_points

    def response(kernel: Complex) -> Array:
        power = power_response(torch.from_numpy(kernel), n_points).numpy()
        return decibels(power, power_response(torch.from_numpy(start[row]), n_points).max().item())

    figure, rows = panels(len(bins), 3, 4.2, 2.6)
    for row, (periods, envelope, spectrum) in zip(bins, rows, strict=True):
        kernels = {fold: filters[row] for fold, filters in folds.items()}
        mean = np.mean(list(kernels.values()), axis=0)
        centre = row * sample_rate / n_fft
        half = min(n_fft // 2, max(8, round(2.5 * n_fft / row)))
        middle = slice(n_fft // 2 - half, n_fft // 2 + half)
        real = {fold: kernel.real[middle] for fold, kernel in kernels.items()}
        draw_lines(periods, time_ms[middle], start[row].real[middle], real, mean.real[middle])
        periods.set(title=f"Bin {row} at {centre:.0f} Hz: real part, middle", xlabel="time (ms)", ylabel="weight")
        envelopes = {fold: np.abs(kernel) for fold, kernel in kernels.items()}
        draw_lines(envelope, time_ms, np.abs(start[row]), envelopes, np.mean(list(envelopes.values()), axis=0))
        envelope.set(title="Envelope", xlabel="time (ms)", ylabel="magnitude")
        near = np.abs(frequency - centre) <= 24 * sample_rate / n_fft
        responses = {fold: response(kernel)[near] for fold, kernel in kernels.items()}
        average = np.mean(list(responses.values()), axis=0)
        draw_lines(spectrum, frequency[near], response(start[row])[near], responses, average, above=FLOOR_DB)
        spectrum.set(title="Frequency response", xlabel="frequency (Hz)", ylabel="relative to start (dB)")
        spectrum.set(ylim=(FLOOR_DB, 6))
    legend(figure, rows[0][1])
    save_figure(figure, path)


def draw_change(start: Complex, folds: dict[int, Complex], sample_rate: int, path: Path) -> None:
    """Draw how the filters' power responses changed, on average over folds, relative to each one's peak at the start.

    On the left over all frequencies in dB; on the right close to each bin's own frequency, with the sign.

    Parameters
    ----------
    start : ndarray of shape (n_transforms, n_freqs, n_fft)
        With the window.
    folds : dict of int to ndarray
        Fold -> learned filters, of the same shape.
    sample_rate : int
        In Hz.
    path : Path
    """
    n_transforms, n_freqs, n_fft = start.shape
    per_bin, reach = 4, 5  # grid points per bin; bins on either side
    offsets = np.arange(-reach * per_bin, reach * per_bin + 1)
    points = np.arange(n_freqs)[:, None] * per_bin + offsets
    inside = (points >= 0) & (points <= per_bin * n_fft // 2)
    top_khz, bin_hz = sample_rate / 2000, sample_rate / n_fft

    figure, rows = panels(n_transforms, 2, 5.2, 4.4)
    for transform, (left, right) in enumerate(rows):
        before = power_response(torch.from_numpy(start[transform]), per_bin * n_fft).numpy()
        peak = np.maximum(before.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        size, signed = np.zeros((n_freqs, n_freqs)), np.zeros(points.shape)
        for filters in folds.values():
            after = power_response(torch.from_numpy(filters[transform]), per_bin * n_fft).numpy()
            change = (after - before) / peak / len(folds)
            size += np.abs(change[:, ::per_bin][:, :n_freqs])
            signed += np.take_along_axis(change, np.where(inside, points, 0), axis=1)
        size_db = 10 * np.log10(np.maximum(size, 1e-12))
        top_db = 10 * float(np.ceil(size_db.max() / 10))
        image = left.imshow(
            size_db,
            origin="lower",
            extent=(0, top_khz, 0, top_khz),
            cmap="magma",
            aspect="auto",
            vmin=top_db - 60,
            vmax=top_db,
        )
        left.set(title=titled("Change of the power response", transform, n_transforms))
        left.set(xlabel="frequency (kHz)", ylabel="bin's own frequency (kHz)")
        figure.colorbar(image, ax=left, label="size of the change over the start's peak (dB)", shrink=0.9)
        limit = max(float(np.percentile(np.abs(signed[inside]), 99.5)), 1e-6) * 100
        image = right.imshow(
            np.where(inside, 100 * signed, np.nan),
            origin="lower",
            extent=(-reach * bin_hz, reach * bin_hz, 0, top_khz),
            aspect="auto",
            cmap=DIVERGING,
            vmin=-limit,
            vmax=limit,
            interpolation="nearest",
        )
        right.set(title=titled("Close to the bin", transform, n_transforms))
        right.set(xlabel="distance from the bin's frequency (Hz)", ylabel="bin's own frequency (kHz)")
        figure.colorbar(image, ax=right, label="change over the start's peak (%)", shrink=0.9)
    save_figure(figure, path)


def draw_bins(bins: pd.DataFrame, bin_hz: float, path: Path) -> None:
    """Draw drift of the centre frequency, bandwidth and gain of every bin over its centre frequency at the start.

    Parameters
    ----------
    bins : DataFrame
        As of `Learned.bins`.
    bin_hz : float
        Distance of the bins; where drifts exceed ten times that, they are drawn logarithmically.
    path : Path
    """
    transforms = sorted(bins["transform"].unique())
    figure, rows_of_panels = panels(len(transforms), 3, 4.8, 3.2)
    for position, (transform, (drift, width, gain)) in enumerate(zip(transforms, rows_of_panels, strict=True)):
        table = bins[bins["transform"] == transform]
        table = table.assign(khz=table["start_center_hz"] / 1000)
        # At 0 and at half the sample rate only half of a filter lies within the range.
        inner = table[table["bin"].between(1, table["bin"].max() - 1)]
        for axes, rows, name in (
            (drift, table, "center_drift_hz"),
            (width, inner, "bandwidth_hz"),
            (gain, table, "gain_db"),
        ):
            mean = rows.groupby("bin").mean()
            if axes is width:
                axes.plot(mean["khz"], mean["start_bandwidth_hz"], **START)
            for fold, group in rows.groupby("fold"):
                axes.plot(
                    group["khz"], group[name], ".", markersize=2.5, alpha=0.5, rasterized=True, label=f"fold {fold}"
                )
            axes.plot(mean["khz"], mean[name], color="black", linewidth=1.2, label="mean")
            axes.set(xlabel="bin's centre frequency at the start (kHz)")
            axes.grid(alpha=0.3)
        if table["center_drift_hz"].abs().max() > 10 * bin_hz:
            drift.set_yscale("symlog", linthresh=bin_hz)
        drift.set(title=titled("Drift of the centre frequency", position, len(transforms)), ylabel="drift (Hz)")
        width.set(title=titled("Equivalent rectangular bandwidth", position, len(transforms)), ylabel="bandwidth (Hz)")
        gain.set(title=titled("Energy over that at the start", position, len(transforms)), ylabel="gain (dB)")
        if table["gain_db"].min() < 5 * np.log10(DEAD_SHARE):
            gain.axhline(10 * np.log10(DEAD_SHARE), color="red", linewidth=0.8, linestyle="--", label="dead below")
            gain.legend(handles=gain.lines[-1:], fontsize=8)
    legend(figure, rows_of_panels[0][1])
    save_figure(figure, path)


def draw_mel(start: Array, folds: dict[int, Array], sample_rate: int, path: Path) -> None:
    """Draw a few mel bands, and how all of them changed on average over folds.

    Parameters
    ----------
    start : ndarray of shape (n_transforms, n_freqs, n_mels)
    folds : dict of int to ndarray
        Fold -> learned bands, of the same shape.
    sample_rate : int
        In Hz.
    path : Path
    """
    n_transforms, n_freqs, n_mels = start.shape
    khz = np.linspace(0, sample_rate / 2000, n_freqs)
    chosen = sorted({round(share * (n_mels - 1)) for share in (0.2, 0.4, 0.6, 0.75, 0.9)})
    figure, rows = panels(n_transforms, 2, 5.2, 3.6)
    for transform, (left, right) in enumerate(rows):
        for position, band in enumerate(chosen):
            left.plot(khz, start[transform, :, band], **(START | {"label": "start" if position == 0 else None}))
            for fold, mel in folds.items():
                label = f"fold {fold}" if position == 0 else None
                left.plot(khz, mel[transform, :, band], color=f"C{(fold - 1) % 10}", linewidth=0.8, label=label)
        left.set(title=titled("Mel bands " + ", ".join(map(str, chosen)), transform, n_transforms))
        left.set(xlabel="frequency (kHz)", ylabel="weight")
        left.grid(alpha=0.3)
        change = np.mean([mel[transform] for mel in folds.values()], axis=0) - start[transform]
        limit = max(float(np.percentile(np.abs(change), 99.9)), 1e-6)
        image = right.imshow(
            change.T,
            origin="lower",
            extent=(0, sample_rate / 2000, -0.5, n_mels - 0.5),
            aspect="auto",
            cmap=DIVERGING,
            vmin=-limit,
            vmax=limit,
        )
        right.set(title=titled("Change of the mel bands", transform, n_transforms))
        right.set(xlabel="frequency (kHz)", ylabel="band")
        figure.colorbar(image, ax=right, label="change of the weight")
    legend(figure, rows[0][0])
    save_figure(figure, path)
