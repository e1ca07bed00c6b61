"""docs/reliability.md: what was broken on purpose, and what came of it."""
# ruff: noqa: E501 (lines of the page)

from __future__ import annotations

import re
from pathlib import Path

from report_format import Record, load, made, table

__all__ = ["PAGE", "reliability"]

PAGE = Path("docs/reliability.md")
TESTS = Path(__file__).parents[1] / "tests"
# Each fault, what becomes of it, and the test that does it: file and name.
FAULTS = (
    ("disk full or read-only while recordings, features, tables, scores, figures, models or checkpoints are written", "one line with file, reason and remedy; the same command then ends in the same bytes", "faults/test_disk.py", "test_a_disk_that_takes_nothing_is_told_and_costs_nothing"),
    ("names too long, links in a circle", "one line", "faults/test_disk.py", "test_links_in_a_circle_and_names_too_long_are_told"),
    ("SIGKILL, SIGTERM, Ctrl-C in a stage", "no output; what is left is removed by the next", "faults/test_signals.py", "test_a_stage_that_is_ended_early_leaves_no_output"),
    ("DVC killed, its stage still at work", "the stage ends and leaves nothing", "runtime/test_watchdog.py", "test_a_stage_ends_when_the_process_that_started_it_is_killed"),
    ("a stage killed, its workers still at work", "the workers end", "runtime/test_watchdog.py", "test_workers_end_when_the_process_that_they_work_for_is_killed"),
    ("a worker killed", "one line with the knob to lower", "runtime/test_engine.py", "test_run_tasks_tells_of_a_worker_that_was_killed"),
    ("a node of a cluster killed in training", "its folds go on on another, same bytes", "runtime/test_ray_cluster.py", "test_a_killed_node_costs_its_tasks_time_and_no_byte"),
    ("a worker of a cluster killed again and again", "one line with the knob to lower", "runtime/test_ray_cluster.py", "test_a_task_whose_worker_is_killed_again_and_again_is_told_in_one_line"),
    ("a command killed, its tasks on a cluster still at work", "the tasks end", "runtime/test_ray_cluster.py", "test_no_task_is_left_when_its_driver_ends"),
    ("training killed between two epochs", "goes on, same bytes", "training/test_fit.py", "test_fit_killed_and_resumed_gives_the_same_bytes"),
    ("a checkpoint truncated, emptied or with a flipped bit", "its fold is trained anew, same bytes", "faults/test_checkpoints.py", "test_a_damaged_checkpoint_costs_its_fold"),
    ("a trained fold with a flipped bit", "it is trained anew, same bytes", "faults/test_checkpoints.py", "test_a_damaged_finished_fold_is_trained_again"),
    ("checkpoints moved with their repository", "goes on, same bytes", "faults/test_checkpoints.py", "test_checkpoints_that_were_moved_are_gone_on_with"),
    ("a model's weights with a flipped bit, or those of another fold", "one line wherever it is loaded", "models/test_model.py", "test_load_sees_a_flipped_bit_of_the_weights"),
    ("a shard truncated or with flipped bytes", "one line", "features/test_store.py", "test_store_damaged_shard_is_told_in_one_line"),
    ("models and features damaged after their stages", "DVC restores them, same bytes", "pipeline/test_pipeline.py", "test_damaged_outputs_are_restored"),
    ("a recording that changes between stages", "one line", "features/test_extract.py", "test_extract_changed_file_is_refused_and_nothing_left"),
    ("two processes that write the same output", "each its own, the later one counts, whole", "runtime/test_files.py", "test_two_at_once_do_not_touch_each_others_work"),
    ("two `dvc repro` at once", "one line of the second, or both end in the same bytes", "pipeline/test_pipeline.py", "test_two_repros_at_once"),
    ("an MLflow server that is absent, slow or dies", "one warning, models and scores as ever", "tracking/test_tracking.py", "test_tracking_server_that_fails_costs_one_warning"),
    ("MLflow's database interrupted while it is created", "created anew", "tracking/test_tracking.py", "test_tracking_creates_its_database_anew_where_its_creation_was_interrupted"),
    ("a run killed right after MLflow created it", "gone on with, none left running", "tracking/test_tracking.py", "test_tracking_run_that_was_killed_right_after_its_creation_is_gone_on_with"),
    ("a training killed and never gone on with", "its runs are closed by the next", "tracking/test_tracking.py", "test_tracking_closes_trainings_that_were_killed_and_are_not_gone_on_with"),
    ("the repository moved or copied", "runs go to the new place, earlier artifacts are found", "tracking/test_tracking.py", "test_tracking_follows_a_repository_to_its_new_place"),
    ("MLflow's database lost", "`adaspec sync` makes the same runs again", "pipeline/test_pipeline.py", "test_lost_store_comes_back_from_what_dvc_holds"),
    ("MLflow's experiment deleted", "one warning with the command that restores it", "tracking/test_tracking.py", "test_tracking_names_the_remedy_where_the_experiment_was_deleted"),
    ("a download broken off, damaged or unsafe", "goes on, or is refused in one line and fetched anew", "datasets/test_fetch.py", "test_fetch_refuses_a_damaged_archive_and_fetches_it_anew"),
)  # fmt: skip


def reliability() -> str:
    """The page."""
    return f"""<!-- Written by benchmarks/report.py from benchmarks/results/faults.json; change that, not this page. -->

# Reliability

What may happen to a machine, and what the next `dvc repro` makes of it: the bytes of an undisturbed run, or one line that says what to do.

## Faults that the tests cause

{table(["fault", "what comes of it", "test"], [_checked(*fault) for fault in FAULTS])}
## Killed at random moments

`make faults` starts `dvc repro` on a small copy of the pipeline, hits it at a random moment, starts it again, and so on; at the end of a round it is
left alone. The table counts what was hit while which stage ran.

One fault is DVC's own: killed in the instant in which it writes `.dvc/tmp/rwlock`, it says at every later `dvc repro` that it is unable to read
that file. Make sure that no other `dvc` runs there, remove the file, and give the command again.

{_kills(load("faults"))}"""


def _checked(fault: str, outcome: str, file: str, name: str) -> list[str]:
    """A row; the test must be there."""
    text = (TESTS / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\b", text, re.MULTILINE), f"tests/{file} has no {name}"
    return [fault, outcome, f"`tests/{file}`"]


def _kills(record: Record) -> str:
    kinds = [key for key in record["rows"][0] if key != "stage"]
    rows = [[row["stage"], *(str(row[kind]) for kind in kinds)] for row in record["rows"]]
    rows.append(["all", *(str(sum(row[kind] for row in record["rows"])) for kind in kinds)])
    found = record["totals"]
    told = (
        f"After {found['kills']} kills in {found['rounds']} rounds: {found['failed']} rounds whose last repro failed, {found['different']} files that differ from those of an "
        f"undisturbed run, {found['stray']} processes that outlived what was hit by half a minute, {found['running']} runs that MLflow takes for running, tracebacks: {found['tracebacks']}. "
        f"Removals of `rwlock`: {found['locks']}."
    )
    return f"{table(['stage', *kinds], rows)}\n{told}\n\n{made(record)}\n"
