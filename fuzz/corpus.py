"""Write what fuzzing begins with, a folder per target: python fuzz/corpus.py FOLDER."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import soundfile

FORMATS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("AIFF", "PCM_24")]
FORMATS += [("AU", "ULAW"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]


def audio() -> list[bytes]:
    """A short recording in each format."""
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, 400)
    written = []
    for form, subtype in FORMATS:
        content = io.BytesIO()
        soundfile.write(content, waveform, 8000, format=form, subtype=subtype)
        written.append(content.getvalue())
    return written


def shard() -> bytes:
    """A shard of the feature store with one clip."""
    schema = pa.schema(
        {"clip_id": pa.string(), "n_steps": pa.int64(), "values": pa.list_(pa.int16())},
        {b"adaspec": json.dumps({"representation": "waveform"}).encode()},
    )
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write(pa.record_batch([["a"], [3], [np.arange(3, dtype=np.int16)]], schema))
    return sink.getvalue()


CORPUS = {
    "decode": audio,
    "store": lambda: [shard()],
    "manifest": lambda: [
        b"path,label,group,fold,subset\na.wav,cat,1,1,train\nb/c.wav,dog,2,2,eval\n",
        b"path,label,speaker,enrolment,attack\na,bonafide,s,yes,\nb,bonafide,s,no,-\nc,spoof,s,0,A01\n",
    ],
    "scores": lambda: [b"a - bonafide 1.5\nb A01 spoof -0.5\n", b"- target 1\n- nontarget 0\nA01 spoof -1\n"],
    "params": lambda: [b"seed: 42\na: &a {b: [1, 2.5, ~]}\nc: {<<: *a, d: 0x1f}\n"],
}


def main(folder: Path) -> None:
    """Write the files."""
    for target, made in CORPUS.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for index, content in enumerate(made()):
            (folder / target / f"start-{index}").write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
