"""Time and memory of every learned front end beside its peers, and of training on cached spectrograms.

    pip install nnAudio nnAudio2 dstft diffsptk hybra
    python benchmarks/frontends.py [--repeats N] [--batch N] [--seconds S] [--record NAME]

EfficientLEAF is cloned from https://github.com/CPJKU/EfficientLEAF and put on PYTHONPATH. A peer that cannot be
imported is left out, with a line on stderr.

One thread. Every round runs each contestant three times, in turn; time is the median over all rounds, a ratio that of
two medians; a step of more than 2 s is measured once. Everybody's work: power, 128 bands, n_fft 1024, hop 512,
22.05 kHz, for the learned ones the mean's gradient besides. Learned filterbanks do another job and are shown as what
they are. Peak memory is what a fresh process grows by while it builds the layer and takes three steps of Adam.

The cached steps are those of the pipeline with frontend.cached=true, a ResNet-18 on a batch of 16 spectrograms.
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
from frontend_peers import PEERS, SAMPLE_RATE, SETTINGS, available, versions
from torch import Tensor, nn

from adaspec.frontends import AdaptiveSTFT

KERNELS = {"learn_kernels": True}
OURS: dict[str, dict[str, Any]] = {
    "fixed": {},
    "learn_window": {"learn_window": True},
    "learn_length": {"learn_length": True},
    "learn_length, 8 groups": {"learn_length": True, "length_groups": 8},
    "learn_kernels": KERNELS,
    "learn_kernels bf16": KERNELS | {"precision": "bf16"},
    "learn_kernels unit_norm": KERNELS | {"kernel_constraint": "unit_norm"},
    "learn_kernels orthonormal": KERNELS | {"kernel_constraint": "orthonormal"},
    "learn_kernels banded": KERNELS | {"kernel_form": "banded"},
    "learn_kernels parametric": KERNELS | {"kernel_form": "parametric"},
    "learn_mel parametric": {"learn_mel": True},
    "learn_mel sensitivity": {"learn_mel": True, "mel_placement": "sensitivity"},
    "learn_mel free": {"learn_mel": True, "mel_form": "free"},
    "learn_compression": {"learn_compression": True, "compression": "pcen"},
    "three transforms, learn_window": {"n_transforms": 3, "window_ratio": 0.5, "learn_window": True},
}
BESIDE = {
    "fixed": "torchaudio",
    "learn_length": "dstft",
}  # ours -> its peer, where that is not nnAudio's trainable STFT
SLOW_S = 2.0  # what takes longer is measured once
PEAKS = ("learn_window", "learn_length", "learn_kernels", "learn_kernels banded", "learn_kernels parametric")
TARGETS: dict[tuple[str, str], float] = {  # (ours, beside) -> at most so much of its time
    ("cached PCEN", "cached fixed"): 1.3,
    ("learn_length", "learn_window"): 1.3,
    ("learn_mel parametric", "learn_mel free"): 1.0,
    ("learn_kernels parametric", "learn_kernels"): 1.1,
    ("learn_kernels", "nnaudio"): 0.9,
    ("learn_kernels", "nnaudio2"): 0.9,
    ("learn_kernels bf16", "nnaudio"): 0.45,
    ("learn_kernels bf16", "nnaudio2"): 0.45,
    ("learn_length", "dstft"): 0.5,
}


def build(name: str) -> nn.Module:
    """Our layer of that name; its output are power bands, unless the compression is learned."""
    return AdaptiveSTFT(**{**SETTINGS, "compression": "none", **OURS[name]})


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
            if times[name] and times[name][0] > SLOW_S:
                continue
            first = time.perf_counter()
            run()  # not timed: brings back memory and caches after the one before
            first = time.perf_counter() - first
            if first > SLOW_S:
                times[name].append(first)
                continue
            for _ in range(3):
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


def cached_ms(n_repeats: int) -> dict[str, float]:
    """Training steps of the pipeline on cached spectrograms: with a fixed logarithm, and with learned PCEN."""
    import train_speed  # loads what only the pipeline needs

    stored, labels = train_speed.batch()
    pcen = {"frontend": {"compression": {"name": "pcen"}, "learn_compression": True}}
    times: dict[str, list[float]] = {"cached fixed": [], "cached PCEN": []}
    for _ in range(n_repeats):
        for name, sections in zip(times, ({}, pcen), strict=True):
            config = train_speed.changed(train_speed.step_config(), **sections)
            times[name] += train_speed.project_steps(config, stored, labels)
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


def status_mib(key: str) -> float:
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def train(name: str, waveform: Tensor) -> None:
    """Build a layer and take three steps."""
    layer = PEERS[name][1](waveform) if name in PEERS else build(name)
    optimizer = torch.optim.Adam([parameter for parameter in layer.parameters() if parameter.requires_grad])
    run = step(layer, waveform)
    for _ in range(3):
        run()
        optimizer.step()


def grown_mib(name: str, batch: int, seconds: float) -> float:
    """In this process: peak memory of `train` less what there was before."""
    waveform = 0.3 * torch.randn(batch, int(seconds * SAMPLE_RATE))
    train(name, waveform[:1, : SETTINGS["n_fft"]])  # loads the libraries
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = status_mib("VmRSS")
    train(name, waveform)
    return status_mib("VmHWM") - before


def in_a_process_of_its_own(name: str, options: argparse.Namespace) -> float:
    command = [sys.executable, __file__, f"--memory-of={name}", f"--batch={options.batch}"]
    command.append(f"--seconds={options.seconds}")
    # A fixed threshold: large blocks go back to the system when freed, so that resident memory is what is in use.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(done.stdout.splitlines()[-1])  # packages may print a line of their own before


def rows_of(times: dict[str, float], memory: dict[str, float]) -> list[dict[str, Any]]:
    """Time and memory of each contestant, and their ratios to its peer's where that one was measured."""
    rows = []
    for name, ms in times.items():
        row: dict[str, Any] = {"name": name, "ms": ms}
        peer = BESIDE.get(name, "cached fixed" if name.startswith("cached") else "nnaudio")
        if peer in times and (name in OURS or name == "cached PCEN"):
            row |= {"peer": peer, "ms_to_peer": ms / times[peer]}
        if name in memory:
            row |= {"peak_mib": memory[name]}
            row |= {"peak_to_peer": memory[name] / memory["nnaudio"]} if "nnaudio" in memory else {}
        rows.append(row)
    return rows


def targets_of(times: dict[str, float]) -> list[dict[str, Any]]:
    return [
        {"name": name, "beside": beside, "ratio": times[name] / times[beside], "at_most": most}
        for (name, beside), most in TARGETS.items()
        if beside in times
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
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
    peers = available(waveform)
    layers = {name: build(name) for name in OURS} | peers
    times = median_ms({name: step(layer, waveform) for name, layer in layers.items()}, options.repeats)
    times |= cached_ms(options.repeats)
    memory = {name: in_a_process_of_its_own(name, options) for name in (*PEAKS, *({"nnaudio"} & set(peers)))}
    rows, targets = rows_of(times, memory), targets_of(times)
    print(f"{options.batch} clips of {options.seconds:g} s, torch {torch.__version__}, {options.repeats} rounds")
    for row in rows:
        beside = f"{row['ms_to_peer']:.2f} of {row['peer']}" if "peer" in row else ""
        print(f"{row['name']:32}{row['ms']:>8.1f} ms  {beside:24}{row.get('peak_mib', 0) or '':>8.4}")
    for target in targets:
        told = "met" if target["ratio"] <= target["at_most"] else "missed"
        print(f"{target['name']} / {target['beside']}: {target['ratio']:.2f}, at most {target['at_most']}: {told}")
    if options.record:
        measured = {"batch": options.batch, "seconds": options.seconds, "rounds": options.repeats}
        measured |= {"bf16_in_hardware": torch.cpu._is_avx512_bf16_supported(), "peers": versions(peers)}
        record.write(options.record, measured | {"rows": rows, "targets": targets})


if __name__ == "__main__":
    main()
