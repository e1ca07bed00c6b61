"""The model that MLflow keeps: loaded from the registry, called from Python, and served over HTTP."""

import ast
import base64
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, load_model
from toydata import RATE, Toy, make_outcome, make_toy

import adaspec
from adaspec.features.representation import feature_contract
from adaspec.features.store import FeatureStore
from adaspec.models.predictor import Predictor
from adaspec.models.saved import load
from adaspec.models.scoring import score_clips
from adaspec.tracking import Origin
from adaspec.tracking.mlflow_run import MlflowRun
from adaspec.tracking.outcome import FoldOutcome
from adaspec.tracking.serving import REQUIREMENTS
from adaspec.training.fit import fit_fold

REAL = Path(os.environ.get("ADASPEC_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "esc10" / "audio"
SOURCE = Path(adaspec.__file__).parent
VOTING: dict[str, Any] = {"vote": "majority", "overlap": 0.5}  # not what Predictor does unasked
NAME = "tones"


@dataclass(frozen=True)
class Registered:
    """A repository whose store holds a model, registered as NAME, with the alias champion."""

    toy: Toy
    root: Path
    folder: Path
    client: MlflowClient
    run_id: str

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def recordings(self) -> list[Path]:
        return [self.root / "raw" / path for path in self.toy.clips["path"]]

    @property
    def predictor(self) -> Predictor:
        return Predictor([self.folder], **VOTING)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registered]:
    root = tmp_path_factory.mktemp("repository")
    knobs = {"features.window.length_s": 0.1, "train.epochs": 16, "train.optimizer.learning_rate": 0.01}
    knobs |= {f"evaluate.{name}": value for name, value in VOTING.items()}
    toy = make_toy(root, {"high": 8, "low": 8, "middle": 8}, **knobs)
    folder = root / "models/fold-1"
    fit_fold(1, toy.rows(1), toy.labels, toy.config, toy.features, root / "checkpoints", folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        patch.chdir(root)
        log = MlflowRun(root, "0123", toy.config, toy.clips, Origin())
        log.complete(make_outcome({1: FoldOutcome({"accuracy": 0.9}, {"window_change": 0.1}, [], folder)}))
        assert not log.broken
        run_id = log.ids["fold-1"]
        client = log.client
        [output] = client.get_run(run_id).outputs.model_outputs
        client.create_registered_model(NAME)
        version = client.create_model_version(NAME, f"models:/{output.model_id}", run_id).version
        client.set_registered_model_alias(NAME, "champion", version)
        yield Registered(toy, root, folder, client, run_id)


@pytest.fixture(scope="module")
def model(registered: Registered) -> Iterator[PyFuncModel]:
    """What the alias points to, loaded in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", registered.uri)
        patch.setattr(sys, "path", list(sys.path))
        yield load_model(f"models:/{NAME}@champion")


def row_of(predictor: Predictor, content: bytes) -> list[Any]:
    prediction = predictor.predict(content)
    return [prediction.label, *prediction.probabilities.values()]


def test_model_gives_the_scores_of_evaluation(registered: Registered, model: PyFuncModel) -> None:
    toy = registered.toy
    store = FeatureStore(toy.features, feature_contract(toy.config))
    expected = score_clips(
        load(registered.folder), list(toy.clips["clip_id"]), store, VOTING["vote"], VOTING["overlap"]
    ).numpy()
    found = model.predict(pd.DataFrame({"path": [str(path) for path in registered.recordings]}))
    assert list(found) == ["label", "score_high", "score_low", "score_middle"]
    np.testing.assert_allclose(found.drop(columns="label"), expected, atol=2e-6)
    assert list(found["label"]) == [toy.labels[index] for index in expected.argmax(axis=1)]
    assert found["label"].nunique() == 3


def test_model_takes_each_kind_of_input_in_one_table(registered: Registered, model: PyFuncModel) -> None:
    path = registered.recordings[0]
    content = path.read_bytes()
    waveform, _ = soundfile.read(path, dtype="float32")
    text = base64.encodebytes(content).decode()  # in lines, as the command base64 writes it
    rows = [
        {"audio": content},
        {"audio": text},
        {"path": str(path)},
        {"waveform": waveform, "sample_rate": RATE},
        {"waveform": waveform.tolist(), "sample_rate": float(RATE), "audio": None},
    ]
    found = model.predict(pd.DataFrame(rows, index=[*"abcde"]))
    assert list(found.index) == [*"abcde"]
    assert found.to_numpy().tolist() == [row_of(registered.predictor, content)] * 5


@pytest.mark.parametrize("rate", [4000, 22050])
def test_model_resamples_waveforms_of_other_rates(registered: Registered, model: PyFuncModel, rate: int) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 400 * np.arange(rate // 2) / rate)
    soundfile.write(registered.root / "tone.wav", tone, rate, subtype="FLOAT")
    found = model.predict([{"waveform": tone.tolist(), "sample_rate": rate}])
    assert found.to_numpy().tolist() == [row_of(registered.predictor, (registered.root / "tone.wav").read_bytes())]


def hours_of_silence() -> bytes:
    """A FLAC file of 4 kB."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(3_700_000, dtype=np.int16), 1000, format="FLAC", subtype="PCM_16")
    return file.getvalue()


SILENCE = [0] * 900  # whole numbers, as JSON has them
FAULTS = {
    "none": ({"audio": None}, "nothing given; give one of audio, path and waveform"),
    "two": ({"audio": "UklG", "path": "a.wav"}, "audio and path given; give one of audio, path and waveform"),
    "empty text": ({"audio": ""}, "empty file (0 bytes)"),
    "not base64": (
        {"audio": "RIFF!"},
        "audio is no base64 text (Only base64 data is allowed); give a whole audio file",
    ),
    "not audio": ({"audio": base64.b64encode(b"no sound at all").decode()}, "not readable as audio ("),
    "number": ({"audio": 7}, "audio is of type int; give a whole audio file as base64 text"),
    "no file": ({"path": "gone.wav"}, "path=gone.wav: no file here, where the model runs"),
    "device": ({"path": "/dev/zero"}, "path=/dev/zero: no file here, where the model runs"),
    "null byte": ({"path": "a\0b"}, "path=a\0b: no file here, where the model runs"),
    "text file": ({"path": __file__}, f"path={__file__}: not readable as audio ("),
    "rate of a file": ({"path": "a.wav", "sample_rate": 8000}, "sample_rate belongs to waveform; the file in path has"),
    "no rate": ({"waveform": SILENCE}, "waveform without sample_rate (Hz)"),
    "rate as text": ({"waveform": SILENCE, "sample_rate": "8 kHz"}, "sample_rate='8 kHz' is no whole number of Hz"),
    "broken rate": ({"waveform": SILENCE, "sample_rate": 8000.5}, "sample_rate=8000.5 is no whole number of Hz"),
    "rate in kHz": ({"waveform": SILENCE, "sample_rate": 8}, "sample_rate=8 Hz is not within 1000 and 1000000 Hz"),
    "infinite rate": ({"waveform": SILENCE, "sample_rate": np.inf}, "sample_rate=inf is no whole number of Hz"),
    "stereo": ({"waveform": [SILENCE] * 2, "sample_rate": 8000}, "waveform has 2 dimensions; give one channel"),
    "ragged": ({"waveform": [[0, 0], [0]], "sample_rate": 8000}, "waveform holds lists of different lengths"),
    "empty": ({"waveform": [], "sample_rate": 8000}, "no samples"),
    "nan": ({"waveform": [0.1, float("nan")], "sample_rate": 8000}, "NaN or infinite samples"),
    "null": ({"waveform": [0.1, None], "sample_rate": 8000}, "waveform is no list of numbers"),
    "text": ({"waveform": "loud", "sample_rate": 8000}, "waveform is no list of numbers"),
    "integers": ({"waveform": [0, 12000, -3], "sample_rate": 8000}, "samples reach 12000, full scale is 1 (1 of"),
    "too long": ({"audio": base64.b64encode(hours_of_silence()).decode()}, "longer than 3599."),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_model_names_the_row_that_it_refuses(model: PyFuncModel, fault: str) -> None:
    row, told = FAULTS[fault]
    good: dict[str, Any] = {"waveform": SILENCE, "sample_rate": 8000}
    with pytest.raises(MlflowException) as refused:
        model.predict(pd.DataFrame([good, good, row, good], dtype=object))
    assert refused.value.message.startswith(f"row 2: {told}")
    assert refused.value.get_http_status_code() == 400


def test_model_refuses_requests_without_recordings(model: PyFuncModel) -> None:
    for rows in ([{}], [{"file": "a.wav"}], [{"sample_rate": 8000}]):
        with pytest.raises(MlflowException, match=r"no recordings: each row needs audio, path or waveform"):
            model.predict(pd.DataFrame(rows))


def test_model_is_logged_with_its_run(registered: Registered) -> None:
    client, run = registered.client, registered.client.get_run(registered.run_id)
    [output] = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert (logged.name, logged.source_run_id, logged.status) == ("model", registered.run_id, "READY")
    assert {metric.key: metric.value for metric in logged.metrics} == run.data.metrics
    assert run.data.metrics == {"test_accuracy": 0.9, "frontend/window_change": 0.1}


def test_model_is_logged_once_where_evaluation_is_repeated(registered: Registered) -> None:
    for artifacts in ([registered.root / "gone"], []):  # the first fails half way, as an interrupt would
        log = MlflowRun(registered.root, "45", registered.toy.config, registered.toy.clips, Origin())
        folds = {1: FoldOutcome({"accuracy": 0.9}, {}, [], registered.folder)}
        log.complete(make_outcome(folds, artifacts=artifacts))
    models = registered.client.search_logged_models([registered.client.get_run(registered.run_id).info.experiment_id])
    assert [model.source_run_id for model in models].count(log.ids["fold-1"]) == 1
    assert len(models) == 2


def test_model_holds_no_pickle_and_is_loaded_without_mlflow_too(registered: Registered) -> None:
    [output] = registered.client.get_run(registered.run_id).outputs.model_outputs
    location = registered.client.get_logged_model(output.model_id).artifact_location
    folder = Path(location.removeprefix("file://"))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    sources = [path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    shipped = {f"code/adaspec/{path.relative_to(SOURCE).as_posix()}" for path in sources}
    described = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
    described |= {"input_example.json", "serving_input_example.json"}
    weights = {f"data/fold-1/{path.name}" for path in registered.folder.iterdir()}
    files.discard("registered_model_meta")  # the registry's, when the model is loaded from there
    assert files == shipped | described | weights
    waveform = torch.zeros(1, 800)
    assert torch.equal(adaspec.load(folder / "data/fold-1")(waveform), load(registered.folder)(waveform))


def imported(path: Path) -> set[str]:
    """Modules that a file imports, at its top or within functions."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_requirements_are_what_classifying_imports() -> None:
    seen: set[Path] = set()
    queue, packages = [SOURCE / "tracking" / "serving.py"], set()
    while queue:
        path = queue.pop()
        if path in seen or not path.exists():
            continue
        seen.add(path)
        queue += [parent / "__init__.py" for parent in path.parents if parent.is_relative_to(SOURCE)]
        for name in imported(path):
            base = SOURCE.parent / Path(*name.split("."))
            queue += [base.with_suffix(".py"), base / "__init__.py"] if name.startswith("adaspec") else []
            packages.add(name.split(".")[0])
    packages -= {*sys.stdlib_module_names, "adaspec", "mlflow"}
    assert {{"yaml": "pyyaml"}.get(name, name) for name in packages} == set(REQUIREMENTS)


@pytest.fixture
def server(registered: Registered, tmp_path: Path) -> Iterator[int]:
    """Port of `mlflow models serve`, started where a user would type it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # it calls uvicorn
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{NAME}@champion"]
    command += ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=registered.root, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while not answers(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def request(port: int, method: str, path: str, content: object = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, json.dumps(content), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def answers(port: int) -> bool:
    try:
        return request(port, "GET", "/ping")[0] == 200
    except OSError:
        return False


def test_server_classifies_a_recording_and_explains_what_it_cannot(registered: Registered, server: int) -> None:
    recording = next(iter(sorted(REAL.glob("*.ogg"))), registered.recordings[0])
    content = recording.read_bytes()
    audio = {"audio": base64.b64encode(content).decode()}
    samples, rate = soundfile.read(registered.recordings[0], dtype="float32")
    rows = [audio, {"path": str(registered.recordings[0])}, {"waveform": samples.tolist(), "sample_rate": rate}]
    status, answer = request(server, "POST", "/invocations", {"dataframe_records": rows})
    assert status == 200
    contents = [content, *[registered.recordings[0].read_bytes()] * 2]
    for found, each in zip(json.loads(answer)["predictions"], contents, strict=True):
        label, *scores = row_of(registered.predictor, each)
        assert list(found) == ["label", "score_high", "score_low", "score_middle"]
        assert found.pop("label") == label
        assert list(found.values()) == pytest.approx(scores, abs=1e-6)  # another process rounds differently

    broken = {"audio": base64.b64encode(content[: len(content) // 2]).decode()}
    status, answer = request(server, "POST", "/invocations", {"dataframe_records": [audio, broken]})
    error = json.loads(answer)
    assert (status, error["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "\nError: row 1: truncated (" in error["message"]
