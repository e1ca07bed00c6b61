import csv
import importlib
import io
import json
import os
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pytest
import soundfile
import soxr
from toydata import RATE, Toy, make_toy
from typer.testing import CliRunner

from adaspec.audio import BadClipError
from adaspec.cli import app
from adaspec.errors import InputError
from adaspec.features.representation import feature_contract
from adaspec.features.store import FeatureStore
from adaspec.models.evaluated import Evaluated
from adaspec.models.predictor import Prediction, Predictor, find_models
from adaspec.models.recordings import find_audio
from adaspec.models.saved import load, save_evaluated
from adaspec.models.scoring import score_clips
from adaspec.training.fit import fit_fold

Trained = tuple[Toy, Path]


def train(folder: Path, **knobs: object) -> Trained:
    knobs = {"features.window.length_s": 0.1, "train.epochs": 6, "train.optimizer.learning_rate": 0.01, **knobs}
    toy = make_toy(folder, {"high": 8, "low": 8, "middle": 8}, **knobs)
    for fold in (1, 2):
        checkpoints, finished = folder / f"checkpoints-{fold}", folder / f"models/fold-{fold}"
        fit_fold(fold, toy.rows(fold), toy.labels, toy.config, toy.features, checkpoints, finished)
        save_evaluated(finished, Evaluated(vote="mean", overlap=0.0, threshold=None))
    return toy, folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("waveform"), **{"audio.trim_db": 20.0})


@pytest.fixture(scope="module")
def trained_fbank(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("fbank"), **{"frontend.name": "fbank", "frontend.fixed.fbank.n_mels": 16})


def recordings(trained: Trained) -> list[Path]:
    toy, folder = trained
    return [folder / "raw" / path for path in toy.clips["path"]]


@pytest.mark.parametrize("kind", ["trained", "trained_fbank"])
def test_recordings_on_the_disk_are_classified_as_those_in_memory(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = request.getfixturevalue(kind)
    predictor = Predictor([folder / "models/fold-1"], overlap=0.5)
    waveform = 0.1 * np.random.default_rng(0).standard_normal(40_000)
    expected = predictor.predict_waveform(waveform, RATE)
    monkeypatch.setattr(importlib.import_module("adaspec.audio.quantise"), "MOST_IN_MEMORY", 10_000)
    monkeypatch.setattr("adaspec.features.representation.WHOLE", 5000)
    monkeypatch.setattr("adaspec.features.representation.PORTION", 8000)
    assert predictor.predict_waveform(waveform, RATE) == expected
    assert len(expected.windows) > 90


def test_recordings_of_too_many_windows_are_refused(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adaspec.models.predictor.MOST_WINDOWS", 20)
    predictor = Predictor([trained[1] / "models/fold-1"], overlap=0.5)
    predictor.predict_waveform(np.tile([0.1, -0.1], 2000), RATE)
    with pytest.raises(BadClipError, match=r"^makes more than 20 windows; cut it in parts, or lower the overlap$"):
        predictor.predict_waveform(np.tile([0.1, -0.1], 20_000), RATE)


@pytest.mark.parametrize(("vote", "overlap"), [("mean", 0.0), ("majority", 0.5)])
@pytest.mark.parametrize("kind", ["trained", "trained_fbank"])
def test_predictions_are_those_of_the_pipeline(
    kind: str, vote: Literal["mean", "majority"], overlap: float, request: pytest.FixtureRequest
) -> None:
    toy, folder = request.getfixturevalue(kind)
    model = folder / "models/fold-1"
    store = FeatureStore(toy.features, feature_contract(toy.config))
    predictor = Predictor([model], vote=vote, overlap=overlap)
    expected = score_clips(load(model), list(toy.clips["clip_id"]), store, vote, overlap).numpy()
    for path, row in zip(recordings((toy, folder)), expected, strict=True):
        found = predictor.predict(path.read_bytes())
        np.testing.assert_allclose(list(found.probabilities.values()), row, atol=2e-6)
        assert found.label == toy.labels[int(row.argmax())]


def test_several_models_are_averaged(trained: Trained) -> None:
    content = recordings(trained)[0].read_bytes()
    folders = find_models(trained[1] / "models")
    assert [folder.name for folder in folders] == ["fold-1", "fold-2"]
    each = [list(Predictor([folder]).predict(content).probabilities.values()) for folder in folders]
    together = list(Predictor(folders).predict(content).probabilities.values())
    np.testing.assert_allclose(together, np.mean(each, axis=0), atol=2e-6)


def test_rate_and_channels_do_not_matter(trained: Trained, tmp_path: Path) -> None:
    path = next(path for path in recordings(trained) if "low" in str(path))
    waveform, _ = soundfile.read(path)
    soundfile.write(tmp_path / "a.flac", np.stack([soxr.resample(waveform, RATE, 44100)] * 2, axis=1), 44100)
    predictor = Predictor(find_models(trained[1] / "models"))
    one, other = predictor.predict(path.read_bytes()), predictor.predict((tmp_path / "a.flac").read_bytes())
    assert one.label == other.label == "low"
    assert one.probabilities["low"] == pytest.approx(other.probabilities["low"], abs=0.05)


def test_windows_lie_where_they_are_in_the_recording(trained: Trained, tmp_path: Path) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 400 * np.arange(4000) / RATE)
    soundfile.write(tmp_path / "a.wav", np.concatenate([np.zeros(8000), tone, np.zeros(2000)]), RATE)
    windows = Predictor([trained[1] / "models/fold-1"]).predict((tmp_path / "a.wav").read_bytes()).windows
    assert len(windows) == 5
    assert windows[0]["start_s"] == pytest.approx(1.0, abs=0.002)
    assert windows[-1]["end_s"] == pytest.approx(1.5, abs=0.002)
    soundfile.write(tmp_path / "short.wav", tone[:200], RATE)
    [window] = Predictor([trained[1] / "models/fold-1"]).predict((tmp_path / "short.wav").read_bytes()).windows
    assert (window["start_s"], window["end_s"]) == (pytest.approx(0, abs=0.002), 0.025)


def test_broken_audio_is_refused(trained: Trained) -> None:
    predictor = Predictor([trained[1] / "models/fold-1"])
    for content in (b"", b"no sound at all", recordings(trained)[0].read_bytes()[:100]):
        with pytest.raises(BadClipError):
            predictor.predict(content)


def test_models_of_different_trainings_are_refused(trained: Trained, trained_fbank: Trained) -> None:
    with pytest.raises(InputError, match="differ in labels, audio or features"):
        Predictor([trained[1] / "models/fold-1", trained_fbank[1] / "models/fold-1"])
    with pytest.raises(InputError, match="holds no model"):
        find_models(trained[1] / "raw")


def test_find_audio_looks_into_folders_and_takes_files_as_they_are(tmp_path: Path) -> None:
    for name in ("b/2.wav", "b/1.FLAC", "b/notes.txt", "b/.hidden/3.wav", "empty/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    given = [tmp_path / "missing.wav", tmp_path / "b"]
    assert find_audio(given) == [tmp_path / "missing.wav", tmp_path / "b/1.FLAC", tmp_path / "b/2.wav"]
    with pytest.raises(InputError, match="empty holds no audio file"):
        find_audio([tmp_path / "empty"])


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["predict", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_command_prints_a_line_per_recording(trained: Trained) -> None:
    code, out, err = run(trained[1] / "models", trained[1] / "raw/low")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 8
    assert all(".wav  low 0." in line for line in lines)


def test_command_goes_on_after_broken_files_and_says_so(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    good = recordings(trained)[0]
    code, out, err = run(
        trained[1] / "models", tmp_path / "broken.wav", tmp_path / "gone.wav", good, "--format", "json"
    )
    assert code == 1
    [found] = json.loads(out)
    assert found["path"] == str(good)
    assert found["label"] == max(found["probabilities"], key=found["probabilities"].__getitem__)
    first, second, last = err.splitlines()
    assert first.startswith(f"error: {tmp_path / 'broken.wav'}: ")
    assert second == f"error: {tmp_path / 'gone.wav'}: cannot be opened (No such file or directory)"
    assert last == "error: 2 of 3 files could not be classified"


def test_command_prints_the_same_from_two_processes(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    soundfile.write(tmp_path / "silent.wav", np.zeros(4000), RATE)
    files = [*recordings(trained)[:3], tmp_path / "broken.wav", tmp_path / "silent.wav", *recordings(trained)[3:]]
    arguments = (trained[1] / "models", *files, "--format", "csv", "--windows")
    one, two = run(*arguments), run(*arguments, "--workers", 2)
    assert one == two
    assert one[0] == 1
    assert len(one[2].splitlines()) == 3


def test_command_warns_of_silence_and_survives_whatever_a_file_does(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(4000), RATE)
    (tmp_path / "fatal.wav").write_bytes(b"no memory")
    os.mkfifo(tmp_path / "pipe.wav")
    predict = Predictor.predict

    def predict_or_fail(predictor: Predictor, content: BinaryIO) -> Prediction:
        if content.read(9) == b"no memory":
            raise MemoryError("1 TiB\nis too much")
        return predict(predictor, content)

    monkeypatch.setattr(Predictor, "predict", predict_or_fail)
    files = [tmp_path / f"{name}.wav" for name in ("fatal", "pipe", "silent")]
    code, out, err = run(trained[1] / "models/fold-1", *files, recordings(trained)[0])
    assert code == 1
    assert len(out.splitlines()) == 2
    assert err.splitlines() == [
        f"error: {files[0]}: cannot be classified (MemoryError: 1 TiB is too much)",
        f"error: {files[1]}: cannot be opened (a pipe where a file is needed)",
        f"warning: {files[2]} is digital silence",
        "error: 2 of 4 files could not be classified",
    ]


def test_predictions_of_a_file_and_of_its_bytes_are_equal(trained: Trained) -> None:
    path = recordings(trained)[0]
    predictor = Predictor([trained[1] / "models/fold-1"])
    with path.open("rb") as file:
        assert predictor.predict(file) == predictor.predict(path.read_bytes())
    with pytest.raises(BadClipError, match=r"longer than 0\.01 s"):
        predictor.predict(path.read_bytes(), longest_s=0.01)


def test_command_writes_json_that_holds_nothing_where_nothing_worked(trained: Trained, tmp_path: Path) -> None:
    code, out, _ = run(trained[1] / "models", tmp_path / "gone.wav", "--format", "json")
    assert (code, json.loads(out)) == (1, [])


@pytest.mark.parametrize("windows", [False, True])
def test_command_writes_csv(trained: Trained, windows: bool) -> None:
    folder = trained[1] / "raw/high"
    code, out, _ = run(trained[1] / "models", folder, "--format", "csv", *(["--windows"] if windows else []))
    rows = list(csv.DictReader(io.StringIO(out)))
    times = ["start_s", "end_s"] if windows else []
    assert code == 0
    assert list(rows[0]) == ["path", *times, "label", "score_high", "score_low", "score_middle"]
    assert len({row["path"] for row in rows}) == 8
    assert (len(rows) > 8) == windows
    for row in rows:
        assert sum(float(row[f"score_{label}"]) for label in trained[0].labels) == pytest.approx(1, abs=1e-5)


def test_command_names_a_folder_without_models(trained: Trained) -> None:
    code, _, err = run(trained[1] / "raw", trained[1] / "raw")
    assert code == 1
    assert (
        err
        == f"error: {trained[1] / 'raw'} holds no model; give a folder such as models/fold-1, or models for all folds\n"
    )


@pytest.mark.parametrize("overlap", [-0.1, 0.97, 1.0, float("nan")])
def test_overlap_out_of_range_is_refused(trained: Trained, overlap: float) -> None:
    with pytest.raises(InputError, match=r"overlap=.* 0 to 0.95 is allowed"):
        Predictor([trained[1] / "models/fold-1"], overlap=overlap)
