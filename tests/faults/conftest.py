"""Small disks that fill up, and what must be told of them."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from toydata import Toy, make_toy

from adaspec.runtime.console import command_line

Refusal = Callable[[Callable[[], object]], str]


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return make_toy(tmp_path_factory.mktemp("toy"), {"high": 6, "low": 6})


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 32 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "none", str(path)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Refusal:
    """The one line in which a command ends."""

    def told(work: Callable[[], object]) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended, command_line():
            work()
        assert ended.value.code == 1
        [line] = [each for each in capsys.readouterr().err.splitlines() if not each.startswith("extracting")]
        return line

    return told
