"""Tasks on two nodes of a Ray cluster, both on this machine."""

import operator
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cluster_tasks
import optuna
import psutil
import pytest
import yaml
from toydata import changed, differing, make_toy
from typer.testing import CliRunner
from waiting import wait_for

from adaspec.cli import app
from adaspec.errors import InputError, SettingError
from adaspec.experiments import tuning
from adaspec.features.extract import extract
from adaspec.runtime.engine import Needs, run_tasks, tasks_at_a_time
from adaspec.runtime.files import write_csv
from adaspec.tracking import TRACKERS
from adaspec.training.crossvalidate import cross_validate

cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed: pip install '.[cluster]'")
# Threads and sockets of Ray, which end with the process.
pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    import ray

    found = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    found.second = found.add_node(num_cpus=1)
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.fixture
def engine(cluster: Any) -> SimpleNamespace:
    return SimpleNamespace(backend="ray", address=cluster.address)


def test_tasks_run_on_both_nodes_in_the_folder_and_with_the_modules_of_their_driver(
    engine: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "own_module.py").write_text("def double(number):\n    return 2 * number\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["src", os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    import own_module

    assert tasks_at_a_time(engine, Needs(threads=8)) == 2  # more than a node has: one on each
    found = list(run_tasks(cluster_tasks.where, ((number,) for number in range(40)), engine))
    assert [number for number, *_ in found] == list(range(40))
    assert len({node for _, node, *_ in found}) == 2
    assert {(folder, paths.split(os.pathsep)[0]) for *_, folder, paths in found} == {
        (str(tmp_path), str(tmp_path / "src"))
    }
    assert list(run_tasks(own_module.double, [(1,), (2,)], engine)) == [2, 4]
    assert list(run_tasks(own_module.double, [], engine)) == []
    assert list(run_tasks(own_module.double, [(1,), (2,), (3,)], engine, wanted=1)) == [2, 4, 6]
    assert capfd.readouterr() == ("", "")


def test_an_error_of_a_task_arrives_as_it_was_raised_and_ends_the_others(
    engine: SimpleNamespace, tmp_path: Path
) -> None:
    with pytest.raises(SettingError) as refusal:
        list(run_tasks(cluster_tasks.refuse, ((number,) for number in range(8)), engine))
    assert type(refusal.value) is SettingError
    assert str(refusal.value) == "win_length=2048 exceeds n_fft=1024"
    with pytest.raises(TypeError):
        list(run_tasks(cluster_tasks.tell_and_sleep, [(tmp_path / "sleeper",), (None,)], engine))
    assert wait_for(lambda: not (tmp_path / "sleeper").exists() or ended(tmp_path / "sleeper"))


def ended(path: Path) -> bool:
    """Whether the process whose number a file holds has ended."""
    try:
        return psutil.Process(int(path.read_text())).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_tasks_are_submitted_as_there_is_room_for_them(engine: SimpleNamespace) -> None:
    taken = []

    def tasks() -> Iterator[tuple[int]]:
        for number in range(1_000_000):
            taken.append(number)
            yield (number,)

    results = run_tasks(operator.pos, tasks(), engine)
    assert next(results) == 0
    assert len(taken) < 1000
    results.close()


def test_a_task_whose_worker_is_killed_again_and_again_is_told_in_one_line(
    engine: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("adaspec.runtime.engine.ray_cluster.RETRIES", 1)
    with pytest.raises(
        InputError, match=r"a task was begun 2 times on the cluster, .* runs out of memory; .* lower eng"
    ):
        list(run_tasks(cluster_tasks.be_killed, [(1,)], engine))
    out, err = capfd.readouterr()
    assert out == ""
    assert set(err.splitlines()) == {"warning: the cluster lost a worker; what it had in hand is run again"}


DRIVER = """
import sys
from pathlib import Path
from types import SimpleNamespace
from adaspec.runtime.console import command_line
from adaspec.runtime.engine import run_tasks
from cluster_tasks import tell_and_sleep
with command_line():
    list(run_tasks(tell_and_sleep, [(Path(sys.argv[2]),)], SimpleNamespace(backend="ray", address=sys.argv[1])))
"""


def test_no_task_is_left_when_its_driver_ends(engine: SimpleNamespace, tmp_path: Path) -> None:
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), paths])}
    tasks = {number: tmp_path / number.name for number in (signal.SIGTERM, signal.SIGKILL)}
    drivers = {
        number: subprocess.Popen(
            [sys.executable, "-c", DRIVER, engine.address, str(task)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, task in tasks.items()
    }
    for number, driver in drivers.items():
        task = tasks[number]
        assert wait_for(lambda task=task: task.exists() and task.read_text() != "")
        driver.send_signal(number)
        told = driver.communicate()[1]
        interrupted = "error: interrupted; the same command goes on from what is complete\n"
        assert (driver.returncode, told) == ((130, interrupted) if number == signal.SIGTERM else (-number, ""))
        assert wait_for(lambda task=task: ended(task))


def test_without_an_address_the_ray_of_this_machine_is_found(
    engine: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    ray.shutdown()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert tasks_at_a_time(SimpleNamespace(backend="ray", address=None), Needs()) == 2
    assert ray.get_runtime_context().gcs_address == engine.address


def test_an_address_where_nothing_answers_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    ray.shutdown()
    nowhere = SimpleNamespace(backend="ray", address="127.0.0.1:9")
    with pytest.raises(InputError, match=r"no Ray cluster answers at 127\.0\.0\.1:9 \(.*refused.*\); start one"):
        list(run_tasks(cluster_tasks.refuse, [(1,)], nowhere))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"needs Ray, which is not installed; run \"pip install '\.\[cluster\]'\""):
        list(run_tasks(cluster_tasks.refuse, [(1,)], nowhere))


def test_workers_on_both_nodes_share_a_study(
    engine: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    knobs = {"train.epochs": 2, "tracking.tracker": "none", "engine.backend": "ray", "engine.address": engine.address}
    toy = make_toy(tmp_path / "data", {"high": 6, "low": 6}, **knobs, **{"engine.parallel_folds": None})
    write_csv(tmp_path / "data" / "clips.csv", toy.clips)
    write_csv(tmp_path / "data" / "folds.csv", toy.folds)
    content = toy.config.model_dump(mode="json")
    content["tune"] |= {"space": [{"knob": "backbone.dropout", "low": 0.0, "high": 0.5}]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "ADASPEC_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tuning, "update_data", lambda root: None)
    table = tuning.tune(4, "s")
    assert table.startswith("study s: 4 trials, ")
    trials = optuna.load_study(study_name="s", storage="sqlite:///.adaspec/studies.db").get_trials()
    assert len({trial.user_attrs["worker"] for trial in trials}) == 2
    told = capfd.readouterr().err.splitlines()
    assert sorted(line.split()[1] for line in told if line.startswith("trial ")) == ["0", "1", "2", "3"]


def test_a_killed_node_costs_its_tasks_time_and_no_byte(
    engine: SimpleNamespace, cluster: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    knobs = {"train.epochs": 30, "engine.checkpoint_interval_s": 0.0, "features.clips_per_shard": 2}
    toy = make_toy(tmp_path / "toy", {"high": 8, "low": 8, "middle": 8}, **knobs)  # on this machine
    there = {"engine.backend": "ray", "engine.address": engine.address, "engine.workers": None}
    on_ray = changed(toy.config, **there, **{"engine.parallel_folds": None})
    extract(toy.clips, on_ray, tmp_path / "features")
    assert differing(toy.features, tmp_path / "features") == []

    def train(config: Any, root: Path) -> None:
        cross_validate(toy.clips, toy.folds, config, toy.features, root / "models", root, TRACKERS["none"].run)

    def kill_when_both_train() -> None:
        if wait_for(lambda: len(list((tmp_path / "ray").glob(".adaspec/checkpoints/*/fold-*/last.*"))) == 2):
            cluster.remove_node(cluster.second, allow_graceful=False)

    killer = threading.Thread(target=kill_when_both_train)
    killer.start()
    train(on_ray, tmp_path / "ray")
    killer.join()
    assert "warning: the cluster lost a worker" in capfd.readouterr().err
    train(toy.config, tmp_path / "local")
    assert differing(tmp_path / "local" / "models", tmp_path / "ray" / "models") == []

    recordings = ["predict", tmp_path / "ray" / "models", tmp_path / "toy" / "raw", "--vote", "mean", "--overlap", "0"]
    here, there = (
        CliRunner().invoke(app, [*map(str, recordings), *more]) for more in ([], ["--address", engine.address])
    )
    assert (here.exit_code, here.output.count("\n")) == (0, 24)
    assert (there.exit_code, there.output) == (0, here.output)
