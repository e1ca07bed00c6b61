import contextlib
import hashlib
import io
import re
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from adaspec.config import DatasetConfig
from adaspec.datasets import DATASETS, read_dataset
from adaspec.datasets.fetch import fetch
from adaspec.errors import InputError

TOP = "ESC-50-master"
N_CLIPS = 5


def members() -> dict[str, bytes]:
    """A small ESC-50: noise does not compress, so that the archive is larger than a few reads of the network."""
    rng = np.random.default_rng(0)
    names = [f"{1 + index}-{100 + index}-A-{index % 2}.wav" for index in range(N_CLIPS)]
    lines = [f"{name},{name[0]},0,{'dog' if name[-5] == '0' else 'cow'},True,{name[2:5]},A" for name in names]
    meta = "\n".join(["filename,fold,target,category,esc10,src_file,take", *lines, ""])
    content = {f"audio/{name}": rng.bytes(700_000) for name in names}
    return {"README.md": b"# ESC-50\n" * 50, "meta/esc50.csv": meta.encode(), **content}


def pack(
    content: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED, extra: dict[str, bytes] | None = None
) -> bytes:
    """A zip file with one top folder; the names in `extra` are taken as they are."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as file:
        file.mkdir(f"{TOP}/")
        for name, data in content.items():
            file.writestr(f"{TOP}/{name}", data)
        for name, data in (extra or {}).items():
            file.writestr(name, data)
    return packed.getvalue()


@dataclass
class Answers:
    """What the server does, and what it was asked."""

    content: bytes
    ranges: bool = True
    tags: bool = True
    status: int = 200
    break_after: int | None = None  # bytes of the body of the next answer
    declared_extra: int = 0  # bytes that Content-Length promises too many
    requests: list[dict[str, str]] = field(default_factory=list)

    @property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'


class Handler(BaseHTTPRequestHandler):
    answers: Answers

    def do_GET(self) -> None:
        answers = self.answers
        answers.requests.append(dict(self.headers))
        if answers.status != 200:
            self.send_error(answers.status)
            return
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, answers.tag)
        if wanted and answers.ranges and same:
            start = int(wanted[1])
            if start >= len(answers.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(answers.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(answers.content) - 1}/{len(answers.content)}")
        else:
            self.send_response(200)
        body = answers.content[start:]
        self.send_header("Content-Length", str(len(body) + answers.declared_extra))
        if answers.tags:
            self.send_header("ETag", answers.tag)
        self.end_headers()
        self.wfile.write(body if answers.break_after is None else body[: answers.break_after])
        answers.break_after = None

    def log_message(self, *args: object) -> None:
        pass


@dataclass
class Server:
    url: str
    answers: Answers


@pytest.fixture(scope="module")
def archive() -> bytes:
    return pack(members())


@pytest.fixture
def server(archive: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    answers = Answers(archive)
    handler = type("OwnHandler", (Handler,), {"answers": answers})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Server(f"http://127.0.0.1:{running.server_port}/master.zip", answers)
        running.shutdown()
        thread.join()


def refusal(folder: Path, url: str) -> str:
    with pytest.raises(InputError) as caught:
        fetch("esc50", folder, url)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def files(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith(".download/")}


def test_fetch_unpacks_the_whole_archive(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "esc50"
    told = fetch("esc50", folder, server.url)
    assert files(folder) == members()
    assert not (folder / ".download").exists()
    assert told.startswith(f"esc50 is complete in {folder} (licence: CC BY-NC 3.0; ")
    assert told.endswith(f"use it with: dvc exp run -S dataset.name=esc50 -S dataset.root={folder}")
    assert len(server.answers.requests) == 1


def test_fetch_leaves_a_folder_that_the_data_set_can_be_read_from(server: Server, tmp_path: Path) -> None:
    fetch("esc50", tmp_path / "esc50", server.url)
    config = DatasetConfig(
        name="esc50", root=str(tmp_path / "esc50"), variant="esc10", on_bad_clip="fail", on_missing="fail"
    )
    table = read_dataset(config)
    assert len(table) == N_CLIPS
    assert set(table["label"]) == {"dog", "cow"}


def test_fetch_leaves_a_complete_data_set_alone(server: Server, tmp_path: Path) -> None:
    fetch("esc50", tmp_path, server.url)
    (tmp_path / "notes.txt").write_text("mine")
    before = files(tmp_path)
    told = fetch("esc50", tmp_path, server.url)
    assert told.startswith(f"esc50 is already complete in {tmp_path}; use it with: ")
    assert len(server.answers.requests) == 1
    assert files(tmp_path) == before


def test_fetch_completes_a_data_set_with_a_file_missing(server: Server, tmp_path: Path) -> None:
    fetch("esc50", tmp_path, server.url)
    lost = sorted((tmp_path / "audio").iterdir())[2]
    lost.unlink()
    fetch("esc50", tmp_path, server.url)
    assert files(tmp_path) == members()
    assert len(server.answers.requests) == 2


def test_fetch_goes_on_after_a_break_and_asks_for_the_rest_only(server: Server, tmp_path: Path) -> None:
    server.answers.break_after = 2_500_000
    told = refusal(tmp_path, server.url)
    assert told.startswith(f"download of {server.url} ")
    assert told.endswith("; run the same command to go on")
    partial = tmp_path / ".download" / "esc50.partial"
    done = partial.stat().st_size
    assert 0 < done <= 2_500_000
    assert partial.read_bytes() == server.answers.content[:done]
    assert files(tmp_path) == {}

    fetch("esc50", tmp_path, server.url)
    assert server.answers.requests[1]["Range"] == f"bytes={done}-"
    assert server.answers.requests[1]["If-Range"] == server.answers.tag
    assert files(tmp_path) == members()


def test_fetch_goes_on_after_two_breaks(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        server.answers.break_after = 1_300_000
        refusal(tmp_path, server.url)
    fetch("esc50", tmp_path, server.url)
    starts = [int(request["Range"][6:-1]) for request in server.answers.requests[1:]]
    assert starts == sorted(set(starts))
    assert files(tmp_path) == members()


def test_fetch_starts_again_where_the_file_on_the_server_has_changed(server: Server, tmp_path: Path) -> None:
    server.answers.break_after = 2_500_000
    refusal(tmp_path, server.url)
    changed = members() | {"README.md": b"another edition\n"}
    server.answers.content = pack(changed)
    fetch("esc50", tmp_path, server.url)
    assert files(tmp_path) == changed


@pytest.mark.parametrize(("ranges", "tags"), [(False, True), (True, False), (False, False)])
def test_fetch_starts_again_where_the_server_cannot_go_on(
    server: Server, tmp_path: Path, ranges: bool, tags: bool
) -> None:
    server.answers.ranges, server.answers.tags = ranges, tags
    server.answers.break_after = 2_500_000
    refusal(tmp_path, server.url)
    fetch("esc50", tmp_path, server.url)
    assert files(tmp_path) == members()


def test_fetch_goes_on_where_it_was_killed_after_the_last_byte(server: Server, tmp_path: Path) -> None:
    download = tmp_path / ".download"
    download.mkdir()
    (download / "esc50.partial").write_bytes(server.answers.content)
    (download / "esc50.etag").write_text(server.answers.tag)
    fetch("esc50", tmp_path, server.url)
    assert files(tmp_path) == members()


def test_fetch_goes_on_where_it_was_killed_before_unpacking(server: Server, tmp_path: Path) -> None:
    download = tmp_path / ".download"
    download.mkdir()
    (download / "esc50.zip").write_bytes(server.answers.content)
    fetch("esc50", tmp_path, server.url)
    assert files(tmp_path) == members()
    assert server.answers.requests == []


def test_fetch_refuses_a_body_shorter_than_declared(server: Server, tmp_path: Path) -> None:
    server.answers.declared_extra = 100
    assert refusal(tmp_path, server.url).startswith(f"download of {server.url} ")
    assert files(tmp_path) == {}
    server.answers.declared_extra = 0
    fetch("esc50", tmp_path, server.url)
    assert files(tmp_path) == members()


@pytest.mark.parametrize(("status", "reason"), [(404, "HTTP 404 Not Found"), (500, "HTTP 500 Internal Server Error")])
def test_fetch_tells_what_the_server_answered(server: Server, tmp_path: Path, status: int, reason: str) -> None:
    server.answers.status = status
    told = refusal(tmp_path, server.url)
    assert told == f"download of {server.url} failed ({reason}); run the same command to go on"
    server.answers.status = 200
    fetch("esc50", tmp_path, server.url)
    assert files(tmp_path) == members()


def test_fetch_keeps_what_it_has_when_the_server_fails_in_between(server: Server, tmp_path: Path) -> None:
    server.answers.break_after = 2_500_000
    refusal(tmp_path, server.url)
    done = (tmp_path / ".download" / "esc50.partial").stat().st_size
    server.answers.status = 500
    refusal(tmp_path, server.url)
    server.answers.status = 200
    fetch("esc50", tmp_path, server.url)
    assert server.answers.requests[-1]["Range"] == f"bytes={done}-"
    assert files(tmp_path) == members()


def test_fetch_tells_that_nobody_answers(server: Server, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as gone:
        url = f"http://127.0.0.1:{gone.server_port}/master.zip"
    assert refusal(tmp_path, url) == f"download of {url} failed (ConnectionError); run the same command to go on"


@pytest.mark.parametrize("url", ["master.zip", "http://", "ftp://127.0.0.1/master.zip"])
def test_fetch_refuses_what_is_no_address(tmp_path: Path, url: str) -> None:
    assert refusal(tmp_path, url).startswith(f"download of {url} failed (")


def flip(archive: bytes, name: str) -> bytes:
    """The archive with one byte in the middle of a member's data changed."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        member = file.getinfo(f"{TOP}/{name}")
    damaged = bytearray(archive)
    damaged[member.header_offset + 30 + len(member.filename) + member.compress_size // 2] ^= 0xFF
    return bytes(damaged)


DAMAGES: dict[str, Callable[[], bytes]] = {
    "a stored recording": lambda: flip(pack(members(), zipfile.ZIP_STORED), "audio/2-101-A-1.wav"),
    "a compressed text": lambda: flip(pack(members()), "README.md"),
    "a compressed table": lambda: flip(pack(members()), "meta/esc50.csv"),
    "the end is missing": lambda: pack(members())[:-100],
    "a web page": lambda: b"<html>Please log in</html>",
    "no bytes": lambda: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_fetch_refuses_a_damaged_archive_and_fetches_it_anew(server: Server, tmp_path: Path, damage: str) -> None:
    whole = server.answers.content
    server.answers.content = DAMAGES[damage]()
    told = refusal(tmp_path, server.url)
    assert "is not a whole esc50 (the archive is damaged, " in told
    assert told.endswith("; try again or another --url")
    assert files(tmp_path) == {}
    server.answers.content = whole
    fetch("esc50", tmp_path, server.url)
    assert "Range" not in server.answers.requests[-1]
    assert files(tmp_path) == members()


def test_fetch_refuses_an_encrypted_archive(server: Server, tmp_path: Path) -> None:
    content = bytearray(pack(members(), zipfile.ZIP_STORED))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag, in both headers of each member
        position = content.find(signature)
        while position >= 0:
            content[position + offset] |= 1
            position = content.find(signature, position + 4)
    server.answers.content = bytes(content)
    assert "the archive is damaged" in refusal(tmp_path, server.url)
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    "name", ["../evil.txt", f"{TOP}/../../evil.txt", f"{TOP}/audio/../../../evil.txt", "/evil.txt", "..\\evil.txt"]
)
def test_fetch_refuses_members_that_leave_the_folder(server: Server, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "a" / "b" / "esc50"
    server.answers.content = pack(members(), extra={name: b"evil"})
    told = refusal(folder, server.url)
    assert f"holds the unsafe member {name!r}" in told
    assert files(folder) == {}
    assert not list(tmp_path.rglob("*evil*"))


def with_link(target: str) -> bytes:
    packed = io.BytesIO(pack(members()))
    with zipfile.ZipFile(packed, "a") as file:
        link = zipfile.ZipInfo(f"{TOP}/link")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, target)
    return packed.getvalue()


@pytest.mark.parametrize("target", ["../../outside", "README.md"])
def test_fetch_refuses_links(server: Server, tmp_path: Path, target: str) -> None:
    server.answers.content = with_link(target)
    assert f"holds the unsafe member '{TOP}/link'" in refusal(tmp_path, server.url)
    assert files(tmp_path) == {}


def without(*names: str) -> bytes:
    return pack({name: content for name, content in members().items() if name not in names})


def with_meta(meta: bytes) -> bytes:
    return pack(members() | {"meta/esc50.csv": meta})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda: without("audio/2-101-A-1.wav"), "1 files are missing, the first is audio/2-101-A-1.wav"),
        (
            lambda: without("audio/5-104-A-0.wav", "audio/2-101-A-1.wav"),
            "2 files are missing, the first is audio/2-101-A",
        ),
        (lambda: without("meta/esc50.csv"), "1 files are missing, the first is meta/esc50.csv"),
    ],
    ids=["recording", "two recordings", "table"],
)
def test_fetch_refuses_an_incomplete_archive(
    server: Server, tmp_path: Path, content: Callable[[], bytes], told: str
) -> None:
    whole = server.answers.content
    server.answers.content = content()
    message = refusal(tmp_path, server.url)
    assert message.startswith(f"{server.url} is not a whole esc50 ({told}")
    assert files(tmp_path) == {}
    server.answers.content = whole
    fetch("esc50", tmp_path, server.url)
    assert files(tmp_path) == members()


@pytest.mark.parametrize(
    "content",
    [
        lambda: pack(members(), extra={"../evil.txt": b"evil"}),
        lambda: with_link("README.md"),
        lambda: with_meta(b"name,class\na.wav,dog\n"),
        lambda: with_meta(b"\xff\xfe\x00"),
    ],
    ids=["unsafe path", "link", "columns missing", "not UTF-8"],
)
def test_fetch_does_not_keep_an_archive_that_it_refused(
    server: Server, tmp_path: Path, content: Callable[[], bytes]
) -> None:
    whole = server.answers.content
    server.answers.content = content()
    refusal(tmp_path, server.url)
    server.answers.content = whole
    fetch("esc50", tmp_path, server.url)
    assert files(tmp_path) == members()


def test_fetch_keeps_files_of_the_user(server: Server, tmp_path: Path) -> None:
    server.answers.content = pack(members() | {"tests/test_dataset.py": b"# theirs\n"})
    mine = {"audio/mine.wav": b"mine", "tests/mine.py": b"mine", "data/mine.csv": b"mine"}
    for name, content in mine.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
    with contextlib.suppress(InputError):  # to refuse the folder is fine, to empty it is not
        fetch("esc50", tmp_path, server.url)
    assert {name: (tmp_path / name).exists() for name in mine} == dict.fromkeys(mine, True)


def test_fetch_refuses_a_file_in_place_of_the_folder(server: Server, tmp_path: Path) -> None:
    (tmp_path / "esc50").write_text("mine")
    assert str(tmp_path / "esc50") in refusal(tmp_path / "esc50", server.url)
    assert (tmp_path / "esc50").read_text() == "mine"


FETCHABLE = ", ".join(name for name, dataset in DATASETS.items() if dataset.source)


@pytest.mark.parametrize(
    ("name", "hint"), [("gtzan", f"; these can be fetched: {FETCHABLE}"), ("esc-50", "; did you mean esc50?")]
)
def test_fetch_names_the_data_sets_it_knows(name: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        fetch(name, tmp_path)
    assert str(caught.value) == f"cannot fetch {name!r}{hint}"
    assert list(tmp_path.iterdir()) == []


def test_fetch_refuses_a_file_beside_the_top_folder(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "flat.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "no folder")
    server.answers.content = path.read_bytes()
    assert "'readme.txt' lies beside the top folder" in refusal(tmp_path / "to", server.url)
