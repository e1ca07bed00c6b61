"""The pipeline as its users run it: real DVC, real MLflow, from the first repro to queued experiments."""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from recorded import described, mlflow_runs, parents_and_children

pytestmark = pytest.mark.timeout(600)

STABLE = ("dvc.lock", "metrics/**/*", "models/**/*", "data/*.csv", "data/features/*")


def test_repro_leaves_everything_that_is_promised(reproduced):
    summary = json.loads((reproduced.path / "metrics/summary.json").read_text())
    accuracy = summary["accuracy"]
    assert 0 <= accuracy["ci_low"] <= accuracy["mean"] <= accuracy["ci_high"] <= 1
    for fold in (1, 2, 3):
        description = json.loads((reproduced.path / f"models/fold-{fold}/model.json").read_text())
        assert description["sample_rate"] == 22050
        assert len(description["labels"]) == 10
        assert (reproduced.path / f"metrics/details/folds/fold-{fold}.json").exists()
    assert not list((reproduced.path / ".adaspec").glob("checkpoints/*"))
    assert not list(reproduced.path.rglob("*.partial"))


def test_repro_again_is_up_to_date(project):
    assert "Data and pipelines are up to date." in project.run("dvc", "repro").stdout


def test_metrics_and_plots_are_understood_by_dvc(project):
    shown = json.loads(project.run("dvc", "metrics", "show", "--json").stdout)
    assert shown[""]["data"]["metrics/summary.json"]["data"]["accuracy"]["mean"] > 0
    page = project.run("dvc", "plots", "show", "--out", "plots")
    assert Path(page.stdout.strip().removeprefix("file://")).exists()
    drawn = sorted(path.name for path in (project.path / "plots").rglob("*.svg"))
    assert any("confusion" in name for name in drawn)
    assert any("curves" in name for name in drawn)


def test_runs_are_found_by_mlflow_at_the_root(reproduced):
    client, runs = mlflow_runs(reproduced.path)
    families = parents_and_children(runs)
    assert len(families) == 1
    (parent_id, children), parent = families.popitem(), client.get_run(next(iter(parents_and_children(runs))))
    assert sorted(child.data.tags["adaspec.fold"] for child in children) == ["1", "2", "3"]
    assert parent.data.params["train.epochs"] == "2"
    summary = json.loads((reproduced.path / "metrics/summary.json").read_text())
    assert parent.data.metrics["cv/accuracy_mean"] == summary["accuracy"]["mean"]
    curve = client.get_metric_history(children[0].info.run_id, "train_loss")
    assert [point.step for point in curve] == [1, 2]
    assert "summary.json" in {artifact.path for artifact in client.list_artifacts(parent_id)}
    for child in children:
        [output] = child.outputs.model_outputs
        location = client.get_logged_model(output.model_id).artifact_location
        assert location.startswith((reproduced.path / "mlartifacts").as_uri())
        fold = f"fold-{child.data.tags['adaspec.fold']}"
        logged = Path(location.removeprefix("file://"), "data", fold, "model.safetensors")
        assert logged.read_bytes() == (reproduced.path / "models" / fold / "model.safetensors").read_bytes()


def test_forced_repro_with_one_fold_at_a_time_gives_the_same_bytes(project):
    before = project.contents(*STABLE)
    project.set(engine__parallel_folds=1, engine__workers=1)
    project.run("dvc", "repro", "--force", "--single-item", "prepare", "features", "train")  # what has workers or folds
    after = project.contents(*STABLE)
    project.run("git", "checkout", "params.yaml")
    assert not {name for name in before if before[name] != after[name]}


def test_damaged_outputs_are_restored(project):
    before = project.contents(*STABLE)
    shard, model = project.path / "data/features/00000.arrow", project.path / "models/fold-1/model.safetensors"
    for path, damaged in ((shard, shard.read_bytes()[:-100]), (model, b"x" + model.read_bytes()[1:])):
        path.unlink()  # it may be a link into DVC's cache
        path.write_bytes(damaged)
    project.run("dvc", "repro")
    assert project.contents(*STABLE) == before


def test_two_repros_at_once(project):
    before = project.contents(*STABLE)
    command = ("dvc", "repro", "--force", "--single-item", "split")
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: project.run(*command, check=False), range(2)))
    assert 0 in [done.returncode for done in both]
    for done in both:
        assert "Traceback" not in done.stderr
        assert done.returncode == 0 or "lock" in done.stderr
    assert project.contents(*STABLE) == before


def test_queued_experiments_run_queued_code_into_one_store(project):
    resnet = project.path / "src/adaspec/backbones/resnet.py"
    code = resnet.read_text()
    wider = code.replace("        self.smallest", "        widths = (24, *widths[1:])\n        self.smallest")
    assert wider != code
    resnet.write_text(wider)
    project.run("dvc", "exp", "run", "--queue", "--name", "wider")
    resnet.write_text(code)
    project.run("dvc", "exp", "run", "--queue", "--name", "learned", "--set-param", "frontend.learn_kernels=true")
    project.run("dvc", "queue", "start", "--jobs", "2")
    logs = {name: project.run("dvc", "queue", "logs", name, "--follow", check=False) for name in ("wider", "learned")}
    status = project.run("dvc", "queue", "status").stdout
    assert status.count("Success") == 2, status + logs["wider"].stdout

    told = project.run("dvc", "queue", "logs", "learned").stdout
    assert "Running stage 'train'" in told
    for stage in ("synthesize", "prepare", "features", "split"):
        assert f"Running stage '{stage}'" not in told
    table = project.run("dvc", "exp", "show", "--csv").stdout
    assert "learned" in table
    assert "accuracy.mean" in table

    _, runs = mlflow_runs(project.path)
    families = parents_and_children(runs)
    parents = {name: next(run for run in runs if run.data.tags.get("dvc.experiment") == name) for name in logs}
    assert parents["learned"].data.params["frontend.learn_kernels"] == "True"
    for parent in parents.values():
        assert len(families[parent.info.run_id]) == 3
        assert "cv/accuracy_mean" in parent.data.metrics
        location = parent.info.artifact_uri
        assert location is not None
        assert str(project.path) in location
    project.run("dvc", "exp", "apply", "wider")
    from safetensors import safe_open

    with safe_open(project.path / "models/fold-1/model.safetensors", "pt") as weights:
        assert weights.get_slice("backbone.stem.0.weight").get_shape()[0] == 24


def test_lost_store_comes_back_from_what_dvc_holds(reproduced, project):
    before = described(reproduced.path)
    store, lost = project.path / "mlflow.db", project.path / "lost.db"
    if store.exists():  # with experiments of the test before
        store.rename(lost)
        before |= {key: run for key, run in described(project.path, lost.name).items() if {"wider", "learned"} & {*key}}
        shutil.rmtree(project.path / "mlartifacts")
    project.set(train__epochs=9)  # of which there are no results
    sync = (sys.executable, "-m", "adaspec", "sync")
    told = project.run(*sync)
    assert "warning: the workspace is left out: what " in told.stderr
    assert told.stdout == f"{len(before) // 4} recorded\n"
    after = described(project.path)
    assert after.keys() == before.keys()
    for key, run in before.items():
        assert after[key] == run
    project.run("git", "checkout", "params.yaml")
    assert project.run(*sync, "--all-commits").stdout.startswith("nothing to record, ")
    assert described(project.path) == after
