import base64
import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import soundfile

from adaspec.errors import InputError
from adaspec.evaluation.figures import draw_confusion, draw_curves
from adaspec.report import Provenance, write_report
from adaspec.runtime.files import write_csv, write_json

SCRIPT, QUOTES, PLAIN = "<script>alert(1)</script>", "a\"b'c & d", "größe"
LABELS = [SCRIPT, QUOTES, PLAIN]
ESCAPE = "\x1b[31mred"
RATE = 16000


class Page(HTMLParser):
    """Elements with their attributes, and all text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def run(tmp_path: Path) -> dict[str, Any]:
    """What a run leaves: nine clips of three labels, four of them wrong."""
    predicted = [SCRIPT, QUOTES, SCRIPT, QUOTES, PLAIN, QUOTES, PLAIN, SCRIPT, QUOTES]
    rows, clips = [], []
    (tmp_path / "raw").mkdir()
    for number, chosen in enumerate(predicted):
        label = LABELS[number // 3]
        name = f"{ESCAPE if number == 1 else 'clip'}-{number}.wav"
        tone = 0.1 * np.sin(2 * np.pi * 200 * (number + 1) * np.arange(RATE) / RATE)
        soundfile.write(tmp_path / "raw" / name, tone, RATE)
        scores = {f"score_{each}": 0.1 + 0.01 * number for each in LABELS} | {f"score_{chosen}": 0.6 + 0.01 * number}
        rows.append({"clip_id": f"clip-{number}", "fold": 1, "label": label, "predicted": chosen, **scores})
        about = {"path": name, "digest": str(number), "label": label, "group": f"source-{number // 2}"}
        clips.append({"clip_id": f"clip-{number}", **about, "n_samples": RATE, "sample_rate": RATE})
    details = tmp_path / "metrics" / "details"
    (details / "figures").mkdir(parents=True)
    (details / "folds").mkdir()
    summary = {"accuracy": {"mean": 5 / 9, "ci_low": 0.3, "ci_high": 0.8}}
    write_json(tmp_path / "metrics" / "summary.json", summary)
    write_json(details / "summary.json", summary)
    write_json(details / "folds" / "fold-1.json", {"accuracy": 5 / 9})
    write_csv(details / "predictions.csv", pd.DataFrame(rows))
    quality = {"label": LABELS, "precision": [0.5, 0.25, 1.0], "recall": [0.5, 0.5, 0.25], "f1": [0.612, 0.334, 0.417]}
    write_csv(details / "per_class.csv", pd.DataFrame(quality | {"support": [3, 3, 3]}))
    draw_confusion(np.array([[2, 1, 0], [1, 1, 1], [1, 1, 1]]), LABELS, details / "figures" / "confusion.svg")
    draw_curves({1: pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.0]})}, details / "figures" / "curves.svg")
    robustness = tmp_path / "metrics" / "robustness"
    write_json(robustness / "summary.json", {"alarms": [], "defended": [], "score": None})
    table = pd.DataFrame(clips)
    return {
        "clips": table,
        "folds": pd.DataFrame({"fold": 1, "clip_id": table["clip_id"], "role": "test", "weight": 1}),
        "skipped": pd.DataFrame({"path": ["<b>bad</b>.wav"], "reason": ["is digital silence"]}),
        "headline_json": tmp_path / "metrics" / "summary.json",
        "details": details,
        "robustness": robustness,
        "root": tmp_path / "raw",
        "provenance": Provenance("abc123", {"train.epochs": ("50", "[1, 2]")}, RATE, "feed"),
        "path": tmp_path / "reports" / "index.html",
    }


def test_page_holds_all_it_shows_and_runs_nothing(run: dict[str, Any]) -> None:
    write_report(**run)
    page = Page(run["path"])
    assert not page.of("script")
    assert not page.of("b")
    links = [attributes.get(name) for _, attributes in page.elements for name in ("src", "href", "xlink:href")]
    assert all(link.startswith(("data:", "#")) for link in links if link)
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    for text in (SCRIPT, QUOTES, PLAIN, "\\x1b[31mred-1.wav", "<b>bad</b>.wav"):
        assert text in page.text
    assert "\x1b" not in page.text
    assert len(page.of("svg")) == 2
    assert len(page.of("path")) > 20


def test_page_of_an_equal_run_is_equal_bytes(run: dict[str, Any]) -> None:
    write_report(**run)
    first = run["path"].read_bytes()
    write_report(**run)
    assert run["path"].read_bytes() == first


def test_page_plays_and_draws_the_wrongest_clips_first(run: dict[str, Any]) -> None:
    write_report(**run)
    page = Page(run["path"])
    sounds = [base64.b64decode(audio["src"].partition(",")[2]) for audio in page.of("audio")]
    assert len(sounds) == 9  # four wrong ones, five right ones
    for sound, number in zip(sounds, (1, 4, 7, 8), strict=False):
        waveform, rate = soundfile.read(io.BytesIO(sound))
        spectrum = np.abs(np.fft.rfft(waveform[2000:10000]))
        assert spectrum.argmax() * rate / 8000 == pytest.approx(200 * (number + 1), abs=10)
    for picture in page.of("img"):
        image = matplotlib.image.imread(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2])))
        loudest = image[..., :3].sum(axis=(1, 2)).argmax()
        assert image.shape[0] == 96
        assert 0 < loudest < 96
    assert page.text.index("Right, but only just") > page.text.index("clip-8.wav")


def test_page_tells_how_to_run_it_again(run: dict[str, Any]) -> None:
    write_report(**run)
    text = Page(run["path"]).text
    assert "git checkout abc123\ndvc exp run -S 'train.epochs=[1, 2]'" in text
    assert text.index("0.334") < text.index("0.417") < text.index("0.612")  # classes, the most troubled first


def test_page_tells_of_a_recording_that_is_gone_or_broken(run: dict[str, Any]) -> None:
    (run["root"] / "clip-3.wav").unlink()
    (run["root"] / "clip-5.wav").write_bytes(b"no audio")
    write_report(**run)
    page = Page(run["path"])
    assert len(page.of("audio")) == 7
    assert "cannot be read: No such file or directory" in page.text


def test_page_of_missing_metrics_is_refused_and_the_last_one_kept(run: dict[str, Any]) -> None:
    write_report(**run)
    (run["details"] / "predictions.csv").unlink()
    with pytest.raises(InputError, match=r"predictions\.csv.*'dvc repro' writes it"):
        write_report(**run)
    assert run["path"].exists()


def test_changed_clips_are_shown_and_played(run: dict[str, Any]) -> None:
    write_report(**run)
    assert "Changed recordings" not in Page(run["path"]).text
    folder = run["robustness"]
    write_json(folder / "summary.json", {"alarms": [f"weak {SCRIPT}"], "defended": ["mp3"], "score": "accuracy"})
    write_csv(folder / "changes.csv", pd.DataFrame({"change": ["clean", "mp3"], "accuracy": [0.9, 0.51234]}))
    (folder / "flips").mkdir()
    soundfile.write(folder / "flips/1.flac", 0.1 * np.sin(2 * np.pi * 3000 * np.arange(RATE) / RATE), RATE)
    flip = pd.read_csv(run["details"] / "predictions.csv").head(1).assign(change="mp3", level=2, file="flips/1.flac")
    write_csv(folder / "flips.csv", flip)
    n_before = len(Page(run["path"]).of("audio"))
    write_report(**run)
    page = Page(run["path"])
    assert len(page.of("audio")) == n_before + 1
    for told in ("Changed recordings", "0.5123", f"weak {SCRIPT}", "Part of training: mp3", "mp3, level 2"):
        assert told in page.text
