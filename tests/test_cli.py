import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import adaspec


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


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    code = "from adaspec.cli import app; app(prog_name='adaspec')"
    plain = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb", "_TYPER_FORCE_DISABLE_TERMINAL": "1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=os.environ | plain, capture_output=True, text=True)


def test_cli_tells_its_version() -> None:
    finished = run("--version")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, f"{adaspec.__version__}\n", "")


def test_cli_helps() -> None:
    finished = run("--help")
    assert finished.returncode == 0
    assert "Usage: adaspec " in finished.stdout
    assert "fetch" in finished.stdout
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
    assert finished.stderr == "error: cannot fetch 'gtzan'; known data sets: esc50\n"
    assert not (tmp_path / "gtzan").exists()


@pytest.mark.parametrize("arguments", [["fetch", "esc50"], ["fetch"], ["fecth"], ["fetch", "esc50", "--too", "x"]])
def test_cli_refuses_wrong_usage_with_exit_code_2(arguments: list[str]) -> None:
    finished = run(*arguments)
    assert finished.returncode == 2
    assert "Traceback" not in finished.stderr
    assert "Usage: " in finished.stderr
