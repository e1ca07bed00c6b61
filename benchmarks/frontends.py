"""Time and memory of the adaptive STFT beside its peers: torchaudio's fixed mel, nnAudio's trainable STFT.

    pip install nnAudio
    python benchmarks/frontends.py [--repeats N] [--batch N] [--seconds S] [--record NAME]

One thread. Every round runs each contestant three times, in turn; time is the median over all rounds, a ratio that of
two medians. Everybody's work: power, 128 mel bands, n_fft 1024, hop 512, 22.05 kHz, for the learned ones the mean's
gradient besides. Peak memory is what a fresh process grows by while it builds the layer and takes three steps of Adam.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import record
import torch
import torchaudio
from torch import Tensor, nn

from adaspec.frontends import AdaptiveSTFT

SAMPLE_RATE, N_FFT, HOP_LENGTH, N_MELS = 22_050, 1024, 512, 128
FIXED: dict[str, dict[str, Any]] = {"fixed": {}}
LEARNED: dict[str, dict[str, Any]] = {
    "learn_window": {"learn_window": True},
    "learn_kernels": {"learn_kernels": True},
    "learn_kernels bf16": {"learn_kernels": True, "precision": "bf16"},
    "learn_kernels banded": {"learn_kernels": True, "kernel_form": "banded"},
    "learn_kernels unit_norm": {"learn_kernels": True, "kernel_constraint": "unit_norm"},
    "learn_kernels orthonormal": {"learn_kernels": True, "kernel_constraint": "orthonormal"},
    "learn_window, _kernels, _mel": {
        "learn_window": True,
        "learn_kernels": True,
        "learn_mel": True,
        "mel_form": "free",  # as when the results were recorded
    },
    "three transforms, learn_window": {"n_transforms": 3, "window_ratio": 0.5, "learn_window": True},
}
PEERS = {"torchaudio": "torchaudio MelSpectrogram, fixed", "nnaudio": "nnAudio, trainable STFT"}


def build(name: str) -> nn.Module:
    """The layer of that name, with power mel bands as its output."""
    if name == "torchaudio":
        return torchaudio.transforms.MelSpectrogram(SAMPLE_RATE, N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS)
    if name == "nnaudio":
        try:
            from nnAudio.features import MelSpectrogram
        except ImportError:
            sys.exit("the comparison needs nnAudio: pip install nnAudio")
        return MelSpectrogram(
            SAMPLE_RATE, N_FFT, n_mels=N_MELS, hop_length=HOP_LENGTH, trainable_STFT=True, htk=True, verbose=False
        )
    settings = (FIXED | LEARNED)[name]
    return AdaptiveSTFT(
        sample_rate=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS, compression="none", **settings
    )


def step(layer: nn.Module, waveform: Tensor) -> Callable[[], None]:
    """Forward, and backward where there is something to learn."""
    learns = any(parameter.requires_grad for parameter in layer.parameters())

    def run() -> None:
        layer.zero_grad()
        output = layer(waveform)
        if learns:
            output.mean().backward()

    return run


def median_ms(steps: dict[str, Callable[[], None]], n_repeats: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(n_repeats):
        for name, run in steps.items():
            run()  # not timed: brings back memory and caches after the one before
            for _ in range(3):
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


def status_mib(key: str) -> float:
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def train(name: str, waveform: Tensor) -> None:
    """Build a layer and take three steps."""
    layer = build(name)
    optimizer = torch.optim.Adam([parameter for parameter in layer.parameters() if parameter.requires_grad])
    run = step(layer, waveform)
    for _ in range(3):
        run()
        optimizer.step()


def grown_mib(name: str, batch: int, seconds: float) -> float:
    """In this process: peak memory of `train` less what there was before."""
    waveform = 0.3 * torch.randn(batch, int(seconds * SAMPLE_RATE))
    train(name, waveform[:1, :N_FFT])  # loads the libraries
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = status_mib("VmRSS")
    train(name, waveform)
    return status_mib("VmHWM") - before


def in_a_process_of_its_own(name: str, options: argparse.Namespace) -> float:
    command = [sys.executable, __file__, f"--memory-of={name}", f"--batch={options.batch}"]
    command.append(f"--seconds={options.seconds}")
    # A fixed threshold: large blocks go back to the system when freed, so that resident memory is what is in use.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if options.memory_of:
        print(grown_mib(options.memory_of, options.batch, options.seconds))
        return

    waveform = 0.3 * torch.randn(options.batch, int(options.seconds * SAMPLE_RATE))
    names = [*PEERS, *FIXED, *LEARNED]
    times = median_ms({name: step(build(name), waveform) for name in names}, options.repeats)
    memory = {name: in_a_process_of_its_own(name, options) for name in ("nnaudio", *LEARNED)}
    print(f"{options.batch} clips of {options.seconds:g} s, torch {torch.__version__}, {options.repeats} rounds")
    print(f"bf16 in hardware: {torch.cpu._is_avx512_bf16_supported()}\n")
    print(f"{'':36}{'ms':>8}{'to peer':>9}{'peak MiB':>10}{'to peer':>9}")
    rows: list[dict[str, Any]] = []
    for name in names:
        peer = "torchaudio" if name in ("torchaudio", *FIXED) else "nnaudio"
        row = {"name": name, "peer": peer, "ms": times[name], "ms_to_peer": times[name] / times[peer]}
        line = f"{PEERS.get(name, name):36}{row['ms']:>8.1f}{row['ms_to_peer']:>9.2f}"
        if name in memory:
            row |= {"peak_mib": memory[name], "peak_to_peer": memory[name] / memory[peer]}
            line += f"{row['peak_mib']:>10.0f}{row['peak_to_peer']:>9.2f}"
        print(line)
        rows.append(row)
    if options.record:
        measured = {"batch": options.batch, "seconds": options.seconds, "rounds": options.repeats, "rows": rows}
        record.write(options.record, measured)


if __name__ == "__main__":
    main()
