"""Archives of any content: unpacked whole into the folder, or refused with a line and nothing of them left."""

import io
import stat
import struct
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from bounded import flipped, outcome

from adaspec.datasets.fetch import fetch
from adaspec.errors import InputError

TOP = "ESC-50-master"
META = b"filename,fold,target,category,esc10,src_file\na.wav,1,0,dog,True,7\n"


def packed(*extra: tuple[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A small ESC-50 with further members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as file:
        file.writestr(f"{TOP}/meta/esc50.csv", META)
        file.writestr(f"{TOP}/audio/a.wav", b"sound")
        for name, data in extra:
            file.writestr(name, data)
    return content.getvalue()


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    member = zipfile.ZipInfo(name)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member, target.encode()


def tar(mode: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as file:
        member = tarfile.TarInfo("../../escaped")
        member.size = 5
        file.addfile(member, io.BytesIO(b"sound"))
    return content.getvalue()


def declaring(size: int) -> bytes:
    """A member whose directory entry tells another size than it has."""
    content = bytearray(packed())
    entry = content.rfind(b"PK\x01\x02")
    struct.pack_into("<I", content, entry + 24, size)
    return bytes(content)


def method(number: int) -> bytes:
    content = bytearray(packed())
    for signature, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", content, content.rfind(signature) + at, number)
    return bytes(content)


WHOLE = packed()
UNSAFE = {
    "parent": packed(("../escaped", b"x")),
    "parent below the top": packed((f"{TOP}/../../escaped", b"x")),
    "parent deep": packed((f"{TOP}/a/b/../../../../escaped", b"x")),
    "absolute": packed(("/tmp/escaped", b"x")),
    "backslashes": packed((f"{TOP}\\..\\..\\escaped", b"x")),
    "a link": packed(link(f"{TOP}/out", "/etc")),
    "through a link": packed(link(f"{TOP}/out", ".."), (f"{TOP}/out/escaped", b"x")),
    "beside the top": packed(("escaped", b"x")),
    "zeros": packed((f"{TOP}/zeros", b"\0" * 2**26)),
    "too much declared": declaring(0xFFFFFFF0),
    "too little declared": declaring(1),
    "unknown method": method(77),
    "encrypted": method(99),
    "a file in a file": packed((f"{TOP}/audio/a.wav/b", b"x")),
    "a file for a folder": packed((f"{TOP}/audio", b"x")),
    "long name": packed((f"{TOP}/{'x' * 5000}", b"x")),
    "tar": tar("w"),
    "tar.gz": tar("w:gz"),
    "empty": b"",
    "no members": b"PK\x05\x06" + b"\0" * 18,
    "text": b"<html>Not Found</html>",
    "cut": WHOLE[:-30],
    "without its start": WHOLE[40:],
}


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, bytes]]:
    """What the server sends is under "content", its address under "url"."""
    state: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(state["content"])))
            self.end_headers()
            self.wfile.write(state["content"])

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state["url"] = f"http://127.0.0.1:{server.server_port}/esc50.zip".encode()
        yield state
        server.shutdown()
        thread.join()


def fetched(content: bytes, folder: Path, served: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> object:
    """What a fetch of the content leads to; nothing may lie outside the folder, or in it if it was refused."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served["content"] = content
    target = folder / "deep" / "esc50"
    found = outcome(lambda: fetch("esc50", target, served["url"].decode()))
    outside = [
        path for path in folder.rglob("*") if not path.is_relative_to(target) and not target.is_relative_to(path)
    ]
    assert outside == []
    assert not Path("/tmp/escaped").exists()
    if isinstance(found, InputError):
        assert [path.name for path in target.glob("*")] in ([], [".download"])
    else:
        assert (target / "audio/a.wav").is_file()
        assert not any(path.is_symlink() for path in target.rglob("*"))
    return found


@pytest.mark.parametrize("kind", UNSAFE)
def test_unsafe_archives_are_refused(
    kind: str, tmp_path: Path, served: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(fetched(UNSAFE[kind], tmp_path, served, monkeypatch), InputError)
    assert not isinstance(fetched(WHOLE, tmp_path, served, monkeypatch), InputError)  # the next attempt succeeds


@pytest.mark.parametrize("seed", range(20))
def test_damaged_archives_are_unpacked_whole_or_refused(
    seed: int, tmp_path: Path, served: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    compression = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[seed % 4]
    content = packed((f"{TOP}/more", rng.bytes(200)), compression=compression)
    fetched(flipped(content, rng, 1 + seed % 4), tmp_path, served, monkeypatch)
