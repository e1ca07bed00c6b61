import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

import adaspec
from adaspec.cli import app

ROOT = Path(__file__).parents[1]


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a folder with an archive in ESC-50's layout."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = tmp_path / "served"
    served.mkdir()
    with zipfile.ZipFile(served / "small.zip", "w") as file:
        file.writestr(
            "ESC-50-master/meta/esc50.csv", "filename,fold,target,category,esc10,src_file\na.wav,1,0,dog,True,7\n"
        )
        file.writestr("ESC-50-master/audio/a.wav", b"sound")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(served))) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


PLAIN = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb", "_TYPER_FORCE_DISABLE_TERMINAL": "1"}


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in this process, which spares it half a second of imports."""
    words = [*map(str, arguments)]
    with contextlib.chdir(cwd or Path()):
        result = CliRunner().invoke(app, words, prog_name="adaspec", env=PLAIN)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return subprocess.CompletedProcess(words, result.exit_code, result.stdout, result.stderr)


def test_cli_tells_its_version() -> None:
    command = [sys.executable, "-m", "adaspec", "--version"]
    finished = subprocess.run(command, env=os.environ | PLAIN, capture_output=True, text=True)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, f"{adaspec.__version__}\n", "")


def test_cli_helps() -> None:
    finished = run("--help")
    assert finished.returncode == 0
    assert "Usage: adaspec " in finished.stdout
    assert all(f" {command} " in finished.stdout for command in ("recipe", "ablation", "compare", "fetch"))
    assert finished.stderr == ""


def test_cli_help_says_how_the_pipeline_runs() -> None:
    assert "'dvc repro'" in run("--help").stdout


def test_cli_helps_with_fetch() -> None:
    finished = run("fetch", "--help")
    assert finished.returncode == 0
    assert "--to" in finished.stdout
    assert "--url" in finished.stdout


def test_cli_starts_without_heavy_imports() -> None:
    code = "import sys, adaspec.cli; print(sorted({'torch', 'pandas', 'mlflow', 'lightning'} & set(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout == "[]\n"


def test_cli_fetch_downloads_once(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "esc50"
    first = run("fetch", "esc50", "--to", folder, "--url", f"{url}/small.zip")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(f"esc50 is complete in {folder}")
    assert "unpacked 2 files" in first.stderr
    assert (folder / "audio" / "a.wav").read_bytes() == b"sound"
    again = run("fetch", "esc50", "--to", folder, "--url", f"{url}/gone.zip")
    assert again.returncode == 0
    assert again.stdout.startswith(f"esc50 is already complete in {folder}")


def test_cli_fetch_fails_in_one_line(url: str, tmp_path: Path) -> None:
    finished = run("fetch", "esc50", "--to", tmp_path / "esc50", "--url", f"{url}/gone.zip")
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert finished.stderr.startswith(f"error: download of {url}/gone.zip failed (HTTP 404 ")
    assert finished.stderr.count("\n") == 1


def test_cli_fetch_names_the_data_sets_it_knows(tmp_path: Path) -> None:
    finished = run("fetch", "gtzan", "--to", tmp_path / "gtzan")
    assert finished.returncode == 1
    assert finished.stderr == "error: cannot fetch 'gtzan'; these can be fetched: esc50\n"
    assert not (tmp_path / "gtzan").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["fetch", "esc50"],
        ["fetch"],
        ["fecth"],
        ["fetch", "esc50", "--too", "x"],
        ["compare"],
        ["ablation"],
        ["trials", "x"],
    ],
)
def test_cli_refuses_wrong_usage_with_exit_code_2(arguments: list[str]) -> None:
    finished = run(*arguments)
    assert finished.returncode == 2
    assert "Traceback" not in finished.stderr
    assert "Usage: " in finished.stderr


def test_cli_recipe_lists_names_and_purposes() -> None:
    finished = run("recipe", cwd=ROOT)
    assert (finished.returncode, finished.stderr) == (0, "")
    lines = finished.stdout.splitlines()
    assert len(lines) == len(list((ROOT / "recipes").glob("*.yaml")))
    assert any(re.fullmatch(r"esc10-fast {2,}ESC-10 .+", line) for line in lines)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The root of a repository with one recipe."""
    folder = tmp_path / "repository"
    (folder / "recipes").mkdir(parents=True)
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    (folder / "recipes" / "birds.yaml").write_text("# Birds\ndataset: {name: folder}\n")
    return folder


def test_cli_recipe_prints_one_command(repository: Path) -> None:
    (repository / "my birds").mkdir()
    finished = run(
        "recipe", "birds", "--root", "my birds", "-S", "seed=1", "-S", "backbone.resnet.widths=[8, 16]", cwd=repository
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    root = f"{repository}/my birds"
    assert finished.stdout == (
        "dvc exp run -S dataset.name=folder -S seed=1 -S 'backbone.resnet.widths=[8,16]' "
        f"-S 'dataset.root=\"{root}\"'\n"
    )  # fmt: skip


def test_cli_recipe_notes_what_an_experiment_left_behind(repository: Path) -> None:
    git = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.org")
    for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "Start")):
        subprocess.run([*git, *command], cwd=repository, check=True)
    arguments = ("recipe", "birds", "--root", repository, "-S", "seed=1")
    assert run(*arguments, cwd=repository).stderr == ""
    params = repository / "params.yaml"
    params.write_text(params.read_text().replace("seed: 42 ", "seed: 43 ").replace("epochs: 50\n", "epochs: 7\n"))
    finished = run(*arguments, cwd=repository)
    assert finished.returncode == 0
    assert finished.stdout.startswith("dvc exp run ")
    assert finished.stdout.count("\n") == 1
    assert finished.stderr == (
        "note: params.yaml differs from the last commit in train.epochs, which the recipe leaves as they are; "
        "'git restore params.yaml' goes back to the baseline\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bird"], "there is no recipe 'bird'; did you mean birds? (known: birds)"),
        (["birds"], "recipes/birds.yaml: dataset.name=folder needs its recordings; add --root FOLDER"),
        (["birds", "--root", "x"], "--root x is not a folder; give the one that holds the recordings"),
        (["birds", "--root", ".", "-S", "sed=1"], "-S sed=1: sed is not a knob of params.yaml; did you mean seed?"),
        (["-S", "seed=1"], "--root and -S are for a recipe; name one, or list them all with 'adaspec recipe'"),
    ],
)
def test_cli_recipe_fails_in_one_line(repository: Path, arguments: list[str], message: str) -> None:
    finished = run("recipe", *arguments, cwd=repository)
    assert (finished.returncode, finished.stdout, finished.stderr) == (1, "", f"error: {message}\n")


def predictions(folder: Path, n_right: int, n_clips: int = 40) -> None:
    """Clips of two classes in two folds, the first ones predicted right."""
    lines = ["clip_id,fold,group,label,predicted,score_a,score_b"]
    for index in range(n_clips):
        fold, label, other = 1 + index % 2, *("ab" if index % 4 < 2 else "ba")
        predicted = label if index < n_right else other
        lines.append(
            f"clip-{index},{fold},group-{index},{label},{predicted},{'0.9,0.1' if predicted == 'a' else '0.1,0.9'}"
        )
    folder.mkdir(parents=True)
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")


def test_cli_compare_prints_a_table_and_a_sentence(tmp_path: Path) -> None:
    for name, n_right in (("fixed-1", 20), ("fixed-2", 22), ("learned-1", 30), ("learned-2", 32)):
        predictions(tmp_path / name, n_right)
    arguments = ("compare", "fixed=fixed-1,fixed-2", "learned=learned-1,learned-2", "fixed-1")
    finished = run(*arguments, cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")
    header, fixed, learned, alone, *_, second, third = finished.stdout.splitlines()
    assert header.startswith("setting  runs  accuracy  std ")
    assert fixed.split()[:3] == ["fixed", "2", "0.5250"]
    assert learned.split()[:3] == ["learned", "2", "0.7750"]
    assert alone.split()[:3] == ["fixed-1", "1", "0.5000"]
    assert second.startswith("learned is better than fixed: accuracy +0.2500 (95 % interval +0.")
    assert third.startswith("Not enough data to tell fixed-1 from fixed: accuracy -0.0250 (95 % interval -0.")
    assert run(*arguments, cwd=tmp_path).stdout == finished.stdout
    for form, start in (
        ("markdown", "| setting | runs | f1_macro |"),
        ("json", '{\n "score": "f1_macro"'),
        ("html", "<!"),
    ):
        told = run(*arguments, "--score", "f1_macro", "--rope", "0.5", "--form", form, cwd=tmp_path).stdout
        assert told.startswith(start)
        assert "learned and fixed are practically equal" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one"], "there is nothing to compare one with; name a baseline and another setting\n"),
        (["one", "empty"], "empty/predictions.csv cannot be read ("),
        (
            ["one", "nothing"],
            "nothing is neither a folder nor an experiment or commit with metrics/details/predictions.csv (",
        ),
        (["one", "one,one"], "'one,one' names one twice; "),
        (["one", "copy", "--score", "f1"], "predictions of a, b tell no score 'f1' (known: accuracy, "),
        (["one", "short"], "one and short cannot be compared: clip clip-38 is in one only (one of 2 such); compare "),
    ],
)
def test_cli_compare_fails_in_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    predictions(tmp_path / "one", 20)
    predictions(tmp_path / "copy", 20)
    predictions(tmp_path / "short", 20, n_clips=38)
    (tmp_path / "empty").mkdir()
    finished = run("compare", *arguments, cwd=tmp_path)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith(f"error: {message}")
    assert finished.stderr.count("\n") == 1
