"""What is printed stays a table, JSON or CSV whatever bytes names hold, and whatever the terminal's encoding is."""

import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import Literal

import pytest

from adaspec.models.predictor import Prediction
from adaspec.models.printing import Writer
from adaspec.runtime.console import command_line

NAMES = [os.fsdecode(bytes([byte])) for byte in range(1, 256) if byte != ord("/")]
NAMES += [
    "é.wav",
    "犬",
    "🎵",
    "a,b",
    'say "hi"',
    "\r\n",
    "\u2028",
    "\u202egnp.wav",
    "\u200b",
    "e\u0301",
    "=1+1",
    "\x1b[2J",
]


def printed(
    form: Literal["table", "json", "csv"], labels: list[str], encoding: str, monkeypatch: pytest.MonkeyPatch
) -> bytes:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="")
    monkeypatch.setattr(sys, "stdout", stream)
    probabilities = {label: 0.5**index for index, label in enumerate(labels)}
    with command_line(), Writer(form, labels, windows=False) as writer:
        for name in NAMES:
            writer.write(Path(name), Prediction(labels[0], probabilities, [], 1.0, []))
    stream.flush()
    return stream.buffer.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252", "shift_jis", "utf-16-le"])
def test_every_form_survives_every_name_and_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = ["\x1b[31mhund", "犬, \u202e"]
    content = printed("json", labels, encoding, monkeypatch).decode(encoding)
    rows = json.loads(content)
    assert content.replace("\n", "").isprintable()
    assert [row["path"] for row in rows] == [os.fsencode(n).decode("utf-8", "backslashreplace") for n in NAMES]
    assert all(row["label"] == labels[0] and list(row["probabilities"]) == labels for row in rows)

    table = printed("table", labels, encoding, monkeypatch).decode(encoding).split("\n")
    assert len(table) == len(NAMES) + 1
    assert "".join(table).isprintable()

    content = printed("csv", labels, encoding, monkeypatch).decode(encoding)
    head, *rows = csv.reader(io.StringIO(content, newline=""), strict=True)
    assert len(head) == 4
    assert {len(row) for row in rows} == {4}
    assert len({row[0] for row in rows}) == len(NAMES)
    assert content.replace("\n", "").isprintable()
    assert content.count("\n") == len(NAMES) + 1
