"""Time, memory and accuracy of the ways to orthonormalise columns, side by side in one run and on one thread.

    python benchmarks/qr.py [--quick] [--repeats N] [--plot PATH] [--record NAME]

Time is the processor time of a forward and a backward pass: of one thread, so that on an idle machine it is the time
that passes, and on a busy one it leaves out the waiting. It is the median over repeats in which the routes take turns,
so that whatever else the machine does falls on all of them; in its turn a route runs twice and the second run counts,
so that what the route before left in caches and allocator does not. "kept" are the bytes that autograd keeps from the
forward to the backward pass: those of all storages behind its saved tensors, but A's. "peak" is the most that both
passes had allocated at any moment, A and the incoming gradient not counted: the running sum over every allocation and
release that torch's CPU allocator reports to the profiler.
"""
# ruff: noqa: N803, N806 (A, Q, R are what every text calls them)

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import record
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from adaspec.linalg import METHODS, modified_gram_schmidt, orthonormalize

Route = Callable[[Tensor], Tensor]
Shape = tuple[int, int]
Figures = dict[Shape, dict[str, tuple[float, int, int, float]]]  # seconds, kept bytes, peak bytes, of LAPACK's time

BASELINE = "torch.linalg.qr"
ROUTES: dict[str, Route] = {BASELINE: lambda A: torch.linalg.qr(A)[0]}
for _method in METHODS:
    ROUTES[_method] = lambda A, method=_method: orthonormalize(A, method=method)  # type: ignore[misc]
ROUTES["closed_form, second pass"] = lambda A: orthonormalize(A, second_pass=True)

TARGET: Shape = (1024, 512)
WIDER: list[Shape] = [(1024, 32), (1024, 64), (1024, 128), (1024, 256), TARGET, (1024, 1024)]
TALLER: list[Shape] = [(256, 256), (512, 256), (1024, 256), (2048, 256), (4096, 256)]
QUICK: list[Shape] = [(1024, 128), TARGET, (1024, 1024)]

RECORDED_AT_MOST = 512  # columns that "autograd" gets: at 1024x1024 it keeps 2 GiB and takes seconds

COLOURS = dict(zip(ROUTES, ["0.45", "C0", "C2", "C1", "C3", "C9"], strict=True))
MARKERS = dict(zip(ROUTES, "osD^vx", strict=True))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def both_passes(route: Route, A: Tensor, gQ: Tensor) -> None:
    torch.autograd.grad(route(A), A, gQ)


def seconds(routes: dict[str, Route], shape: Shape, repeats: int) -> dict[str, list[float]]:
    """Times of each route, in turns."""
    A, gQ = noise(*shape).requires_grad_(), noise(*shape, seed=1)
    times: dict[str, list[float]] = {name: [] for name in routes}
    for _ in range(repeats):
        for name, route in routes.items():
            both_passes(route, A, gQ)
            started = time.process_time()
            both_passes(route, A, gQ)
            times[name].append(time.process_time() - started)
    return times


def kept_bytes(route: Route, shape: Shape) -> int:
    A = noise(*shape).requires_grad_()
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        Q = route(A)  # held until the end, so that no address is used twice
    storages.pop(A.untyped_storage().data_ptr(), None)
    assert Q.grad_fn is not None
    return sum(storages.values())


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Keep the profiler's own log, which it writes to the file descriptor, off the terminal."""
    terminal = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def peak_bytes(route: Route, shape: Shape) -> int:
    A, gQ = noise(*shape).requires_grad_(), noise(*shape, seed=1)
    with silent_stderr(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        both_passes(route, A, gQ)
    results: Any = profiler.profiler.kineto_results
    changes = [(event.start_ns(), event.nbytes()) for event in results.events() if event.name() == "[memory]"]
    changes.sort(key=lambda change: change[0])
    return max(itertools.accumulate(nbytes for _, nbytes in changes))


def loss_of_orthogonality(Q: Tensor) -> float:
    return float((Q.double().mT @ Q.double() - torch.eye(Q.shape[-1], dtype=torch.float64)).abs().max())


def with_condition(shape: Shape, condition: float) -> Tensor:
    m, n = shape
    left, right = (torch.linalg.qr(noise(k, n, seed=k).double())[0] for k in (m, n))
    scales = condition ** -torch.linspace(0, 1, n, dtype=torch.float64)
    return (left * scales @ right.mT).float()


def print_accuracy(shape: Shape) -> None:
    print(f"accuracy at {shape[0]}x{shape[1]} float32 (each is to be below 1e-5)")
    print(f"  {'matrix':<22}{'second pass':<14}{'max |Q^T Q - I|':>16}{'|A - QR| / |A|':>18}")
    for name, A in (("random", noise(*shape)), ("condition 1e6", with_condition(shape, 1e6))):
        for second_pass in (False, True):
            Q, R = modified_gram_schmidt(A, second_pass=second_pass)
            residual = float((A.double() - Q.double() @ R.double()).norm() / A.double().norm())
            print(f"  {name:<22}{'yes' if second_pass else 'no':<14}{loss_of_orthogonality(Q):>16.1e}{residual:>18.1e}")


def measure(shapes: list[Shape], recorded_at_most: int, repeats: int) -> Figures:
    """Seconds, kept bytes, peak bytes and share of LAPACK's time of each route at each shape, printed as they come."""
    figures: Figures = {}
    print(f"\nforward and backward pass, float32, processor time, medians of {repeats}")
    print(f"  {'m x n':<12}{'route':<26}{'ms':>9}{'of LAPACK':>11}{'kept MiB':>11}{'peak MiB':>11}")
    for shape in shapes:
        routes = {name: route for name, route in ROUTES.items() if name != "autograd" or shape[1] <= recorded_at_most}
        times = seconds(routes, shape, repeats)
        figures[shape] = {}
        for name, route in routes.items():
            # The ratio is taken turn by turn: both had the same neighbours.
            ratio = statistics.median(a / b for a, b in zip(times[name], times[BASELINE], strict=True))
            figure = (statistics.median(times[name]), kept_bytes(route, shape), peak_bytes(route, shape), ratio)
            figures[shape][name] = figure
            kept, peak = (f"{nbytes / 2**20:.2f}" for nbytes in figure[1:3])
            label = f"{shape[0]}x{shape[1]}"
            print(f"  {label:<12}{name:<26}{figure[0] * 1e3:>9.2f}{ratio:>11.2f}{kept:>11}{peak:>11}", flush=True)
    return figures


def plot(figures: Figures, path: Path) -> None:
    """Time, kept and peak memory (rows of panels) against columns n and rows m (columns of panels)."""
    figure = Figure(figsize=(11, 11), layout="constrained")
    panels = figure.subplots(3, 2, sharex="col", sharey="row")
    quantities = [
        ("forward and backward pass, ms", 1e3),
        ("kept between the passes, MiB", 2**-20),
        ("peak of both passes, MiB", 2**-20),
    ]
    for column, (label, shapes, axis) in enumerate(
        [("columns n (m = 1024 rows)", WIDER, 1), ("rows m (n = 256 columns)", TALLER, 0)]
    ):
        for row, (quantity, scale) in enumerate(quantities):
            axes = panels[row, column]
            for name in ROUTES:
                points = [
                    (shape[axis], figures[shape][name][row] * scale) for shape in shapes if name in figures[shape]
                ]
                axes.loglog(
                    *zip(*points, strict=True), color=COLOURS[name], marker=MARKERS[name], fillstyle="none", label=name
                )
            axes.set_xticks([shape[axis] for shape in shapes], [str(shape[axis]) for shape in shapes])
            axes.minorticks_off()
            axes.grid(visible=True, alpha=0.3)
            if column == 0:
                axes.set_ylabel(quantity)
        panels[-1, column].set_xlabel(label)
    panels[1, 0].text(
        0.97, 0.06, "all but autograd keep the same: Q and R", ha="right", transform=panels[1, 0].transAxes
    )
    figure.suptitle("Orthonormal columns with their gradient: float32, one thread")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=100)
    print(f"\nwrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three shapes, three repeats, autograd at the smallest")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--plot", type=Path, metavar="PATH", help="where to write the plot")
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    arguments = parser.parse_args()
    if arguments.quick and (arguments.plot or arguments.record):
        parser.error("--plot and --record need every shape: leave out --quick")
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} thread")
    print_accuracy(TARGET)
    if arguments.quick:
        measure(QUICK, 128, 3)
        return
    figures = measure(list(dict.fromkeys([*WIDER, *TALLER])), RECORDED_AT_MOST, arguments.repeats)
    if arguments.plot:
        plot(figures, arguments.plot)
    if arguments.record:
        record.write(arguments.record, {"repeats": arguments.repeats, "rows": rows_of(figures)})


def rows_of(figures: Figures) -> list[dict[str, Any]]:
    """As they are recorded: few columns first."""
    return [
        {"m": m, "n": n, "route": name, "ms": 1e3 * found[0], "of_lapack": found[3], "kept_mib": found[1] / 2**20}
        | {"peak_mib": found[2] / 2**20}
        for (m, n), routes in sorted(figures.items(), key=lambda item: item[0][::-1])
        for name, found in routes.items()
    ]


if __name__ == "__main__":
    main()
