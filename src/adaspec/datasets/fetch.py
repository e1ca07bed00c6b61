"""Download a data set's official archive, unpack it safely, and check that every recording it lists is there."""

from __future__ import annotations

import errno
import logging
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from adaspec.datasets import DATASETS
from adaspec.errors import InputError
from adaspec.runtime.files import complete_folder, naming
from adaspec.runtime.progress import stderr_is_terminal
from adaspec.runtime.text import did_you_mean, one_line

__all__ = ["fetch"]

log = logging.getLogger(__name__)

CHUNK = 2**20  # bytes
TIMEOUT_S = 30
# What reading a damaged or malicious zip file raises, and what is the system's fault when a file is written.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ArithmeticError,
    RuntimeError,
    ValueError,
)
SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE}
MAX_UNPACKED = 20 * 2**30  # bytes; ESC-50 unpacks to 0.9 GiB
MAX_RATIO = 100  # of unpacked to packed bytes; recordings have less than 10, zeros 1000


def fetch(name: str, folder: Path, url: str | None = None) -> str:
    """Download and unpack a data set.

    A complete data set is left as it is. The archive is kept under `folder/.download` until it is unpacked, so that a
    download that broke off goes on where it was, if the server can.

    Parameters
    ----------
    name : str
        Key of `DATASETS`, of a data set with a source.
    folder : Path
        Will be the data set's root.
    url : str, optional
        Instead of the official address.

    Returns
    -------
    str
        What was done and how to go on.

    Raises
    ------
    InputError
        Unknown name; network or server failed; the archive is damaged, unsafe or incomplete.
    """
    sources = {known: dataset.source for known, dataset in DATASETS.items() if dataset.source is not None}
    if name not in sources:
        hint = did_you_mean(name, sources, f"; these can be fetched: {', '.join(sources)}")
        raise InputError(f"cannot fetch {name!r}{hint}")
    source = sources[name]
    folder = folder.resolve()
    further = f"use it with: dvc exp run -S dataset.name={name} -S dataset.root={folder}"
    if not source.missing(folder):
        return f"{name} is already complete in {folder}; {further}"
    download = folder / ".download"
    archive = download / f"{name}.zip"
    try:
        download.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be created ({error.strerror}); give a folder with --to") from None
    _download(url or source.url, archive)
    with complete_folder(download / "unpacked") as unpacked:
        try:
            _unpack(archive, unpacked)
            missing = source.missing(unpacked)
            if missing:
                raise InputError(f"{len(missing)} files are missing, the first is {missing[0]}")
        except InputError as error:
            archive.unlink()  # the next attempt must not meet it again
            raise InputError(
                f"{url or source.url} is not a whole {name} ({error}); try again or another --url"
            ) from None
    # File by file: what else lies in the folder is the user's.
    for path in sorted((download / "unpacked").rglob("*")):
        target = folder / path.relative_to(download / "unpacked")
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            os.replace(path, target)
    shutil.rmtree(download)
    return f"{name} is complete in {folder} (licence: {DATASETS[name].licence}); {further}"


def _download(url: str, archive: Path) -> None:
    """Download to `archive`, going on from `archive`.partial where the server still has the same file."""
    if archive.exists():
        return
    partial, tag_file = archive.with_suffix(".partial"), archive.with_suffix(".etag")
    done = partial.stat().st_size if partial.exists() else 0
    tag = tag_file.read_text() if tag_file.exists() else ""
    # If-Range: a server whose file has changed since sends the whole of it instead of the rest.
    headers = {"Accept-Encoding": "identity"}  # else the length told is not that of what is received
    if done and tag:
        headers |= {"Range": f"bytes={done}-", "If-Range": tag}
    try:
        with naming(archive), requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                partial.unlink()  # nothing is left to ask for, yet it was never taken for whole
                _download(url, archive)
                return
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            done = done if resumed else 0
            length = response.headers.get("Content-Length", "")
            total = done + int(length) if length.isdecimal() else None
            tag_file.write_text(response.headers.get("ETag", ""))
            with partial.open("ab" if resumed else "wb") as file, _progress() as progress:
                task = progress.add_task(archive.name, total=total, completed=done)
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    progress.advance(task, len(chunk))
    except requests.RequestException as error:
        raise InputError(f"download of {url} failed ({_reason(error)}); run the same command to go on") from None
    if total is not None and partial.stat().st_size != total:
        raise InputError(
            f"download of {url} broke off at {partial.stat().st_size} of {total} bytes; run the same command to go on"
        )
    os.replace(partial, archive)
    tag_file.unlink()


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    return type(error).__name__


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not stderr_is_terminal(),
    )


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the one top folder of a zip file into `folder`; each member's CRC-32 is checked on the way.

    Raises
    ------
    InputError
        Not a zip file, damaged, too large, or with a member that is a link or would land outside.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = [member for member in file.infolist() if not member.is_dir()]
            size = sum(member.file_size for member in members)
            if size > MAX_UNPACKED:
                raise InputError(f"it would unpack to {size} bytes, more than {MAX_UNPACKED}")
            if size > MAX_RATIO * archive.stat().st_size:
                raise InputError(f"it would unpack to {size} bytes, {MAX_RATIO} times its own and more")
            for member in members:
                path = PurePosixPath(member.filename)
                unsafe = path.is_absolute() or ".." in path.parts or "\\" in member.filename
                if unsafe or stat.S_ISLNK(member.external_attr >> 16):
                    raise InputError(f"it holds the unsafe member {member.filename!r}")
                if len(path.parts) < 2:
                    raise InputError(f"{member.filename!r} lies beside the top folder that everything should be in")
            for member in members:
                target = folder.joinpath(*PurePosixPath(member.filename).parts[1:])
                target.parent.mkdir(parents=True, exist_ok=True)
                with file.open(member) as content, target.open("wb") as out:
                    shutil.copyfileobj(content, out)
    except InputError:
        raise
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno in SYSTEM:
            raise
        raise InputError(f"the archive is damaged, {one_line(error)}") from None
    log.info("unpacked %s files, %.0f MiB", len(members), size / 2**20)
