"""From recordings with enrolment to models that ask who is claimed to speak, and what they say of new recordings."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from onnxruntime import InferenceSession
from toydata import RATE, small_config
from typer.testing import CliRunner

from adaspec.cli import app
from adaspec.config import Config
from adaspec.config.resolve import resolve
from adaspec.datasets import read_dataset, read_verification_trials
from adaspec.datasets.clips import examine_clips
from adaspec.errors import InputError
from adaspec.evaluation.evaluate import evaluate
from adaspec.evaluation.verifier import Verifier
from adaspec.features.extract import extract
from adaspec.models.predictor import Predictor
from adaspec.models.saved import load
from adaspec.speakers.vectors import read_vectors
from adaspec.tables.splits import make_folds
from adaspec.tracking.serving import further_settings
from adaspec.training.embedding import embed_folds
from adaspec.training.fit import fit_fold

KNOBS: dict[str, Any] = {
    "dataset.name": "manifest",
    "split.scheme": "official",
    "speaker.source": "learned",
    "speaker.n_dimensions": 8,
    "speaker.network.n_mels": 24,
    "speaker.network.widths": [4, 8],
    "speaker.network.window_s": 0.2,
    "speaker.network.epochs": 30,
    "speaker.network.equalizer_db": 0.0,
    "speaker.network.batch_size": 16,
    "backbone.claim": "film",
    "augment.mix.name": "none",
    "augment.resynthesis.share": 0.5,
    "evaluate.cohort": 3,
    "train.epochs": 2,
}
N_SPEAKERS = {"train": 4, "dev": 2, "eval": 3}


def write_speech(root: Path) -> None:
    """Speakers that differ in pitch, spoofs by a hum; dev and eval speakers enrol with two recordings each, but kim."""
    rng = np.random.default_rng(4)
    root.mkdir()
    rows, time = [], np.arange(int(0.3 * RATE)) / RATE
    speakers = [(part, f"{part}{index}") for part, n in N_SPEAKERS.items() for index in range(n)]
    for place, (part, speaker) in enumerate(speakers):
        uses = ["bonafide"] * 3 + ["spoof"] * 3 + (["enrolment"] * 2 if part != "train" else [])
        for index, use in enumerate(uses):
            pitch = (130 + 45 * place) * rng.uniform(0.98, 1.02)
            voice = sum(np.sin(2 * np.pi * order * pitch * time + rng.uniform(0, 6)) / order for order in range(1, 6))
            hum = np.sin(2 * np.pi * 3000 * time) if use == "spoof" else 0.0
            path = f"{speaker}-{use}-{index}.wav"
            soundfile.write(root / path, 0.1 * voice + 0.1 * hum + 0.01 * rng.standard_normal(len(time)), RATE)
            label = "spoof" if use == "spoof" else "bonafide"
            attack = "A01" if use == "spoof" else ""
            rows.append((path, label, speaker, "yes" if use == "enrolment" else "no", part, attack))
    shutil.copyfile(root / "eval0-bonafide-0.wav", root / "kim.wav")
    with open(root / "kim.wav", "ab") as file:
        file.write(b"LIST\x04\0\0\0INFO")  # a byte-identical copy would be refused
    rows.append(("kim.wav", "bonafide", "kim", "no", "eval", ""))
    columns = ["path", "label", "speaker", "enrolment", "subset", "attack"]
    pd.DataFrame(rows, columns=columns).to_csv(root / "manifest.csv", index=False)


@dataclass(frozen=True)
class Made:
    """A run of the pipeline's stages below `root`, and what they read."""

    root: Path
    config: Config
    clips: pd.DataFrame
    folds: pd.DataFrame
    trials: pd.DataFrame

    def embed(self, name: str, **speaker: object) -> Path:
        """Run the stage `embed`, with other knobs of its section."""
        section = self.config.speaker.model_copy(update=speaker)
        config = self.config.model_copy(update={"speaker": section})
        embed_folds(self.clips, self.folds, config, self.root / "features", self.root / name)
        return self.root / name


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("speakers")
    write_speech(root / "raw")
    config = small_config(root / "raw", **KNOBS)
    table = read_dataset(config.dataset)
    clips, _ = examine_clips(table, root / "raw", "fail", "fail", 1)
    trials = read_verification_trials(config.dataset, table, clips)
    config = resolve(config, clips)
    extract(clips, config, root / "features")
    found = Made(root, config, clips, make_folds(clips, config.split, config.seed), trials)
    speakers = found.embed("speakers")
    rows = found.folds.merge(clips[["clip_id", "label", "speaker"]], on="clip_id").drop(columns="fold")
    task = (1, rows, ["bonafide", "spoof"], config, root / "features", root / "checkpoints", root / "trained/fold-1")
    fit_fold(*task, speakers=speakers / "fold-1")
    stages = (root / "features", root / "trained", speakers)
    evaluation = evaluate(clips, found.folds, config, *stages, verification_trials=trials)
    evaluation.write(root / "metrics")
    evaluation.write_models(root / "trained", root / "models", speakers)
    return found


def test_vectors_are_the_same_twice_and_those_of_a_speaker_are_alike(made: Made) -> None:
    again = made.embed("again")
    for path in sorted((made.root / "speakers").rglob("*.*")):
        assert path.read_bytes() == (again / path.relative_to(made.root / "speakers")).read_bytes()
    vectors, known = (read_vectors(again / f"fold-1/{name}.parquet") for name in ("vectors", "enrolled"))
    assert list(vectors) == list(made.clips["clip_id"])
    assert sorted(known) == ["dev0", "dev1", "eval0", "eval1", "eval2"]
    rows = made.clips[(made.clips["use"] == "trial") & (made.clips["subset"] == "train")]
    own = np.stack([vectors[clip_id] for clip_id in rows["clip_id"]])
    same = np.equal.outer(list(rows["speaker"]), list(rows["speaker"]))
    cosines = own @ own.T
    assert cosines[same & ~np.eye(len(own), dtype=bool)].mean() > cosines[~same].mean() + 0.1


def test_a_run_is_scored_by_verification_trials(made: Made) -> None:
    details = made.root / "metrics/details"
    tried = pd.read_csv(details / "verification_trials.csv")
    counted = made.trials[made.trials["subset"] == "eval"]["key"].value_counts()
    assert tried["label"].value_counts().to_dict() == counted.to_dict()
    summary = pd.read_json(made.root / "metrics/summary.json")
    assert {"sasv_eer", "a_dcf", "sv_eer", "spf_eer", "eer"} == set(summary)
    assert (details / "figures/verification_plane.svg").exists()


def test_a_clip_of_a_speaker_who_is_not_enrolled_is_no_matter_of_a_detector_that_asks(made: Made) -> None:
    published = pd.read_csv(made.root / "metrics/details/predictions.csv")
    assert "kim" not in set(published["clip_id"])
    assert len(published) == 3 * 6
    tried = pd.read_csv(made.root / "metrics/details/verification_trials.csv")
    assert set(tried.loc[tried["clip_id"] == "kim", "label"]) == {"nontarget"}


def test_a_served_model_is_told_who_is_claimed(made: Made, tmp_path: Path) -> None:
    import mlflow.pyfunc

    settings = {"vote": "mean", "overlap": 0.0} | further_settings(made.root / "models/fold-1")
    module, model = "adaspec.tracking.serving", str(made.root / "models/fold-1")
    mlflow.pyfunc.save_model(tmp_path / "model", loader_module=module, data_path=model, model_config=settings)
    clip = made.root / "raw/eval0-bonafide-0.wav"
    with pytest.raises(InputError, match="must know who is claimed to speak"):
        mlflow.pyfunc.load_model(str(tmp_path / "model"))
    enrolment = {"enrolment": [str(made.root / "raw/eval0-enrolment-6.wav")]}
    served = mlflow.pyfunc.load_model(str(tmp_path / "model"), model_config=enrolment)
    found = served.predict(pd.DataFrame({"path": [str(clip)]}))
    predictor = Predictor([made.root / "models/fold-1"])
    predictor.enrol([made.root / "raw/eval0-enrolment-6.wav"])
    assert found["score_bonafide"][0] == pytest.approx(predictor.predict(clip.read_bytes()).probabilities["bonafide"])


def test_prediction_with_enrolment_gives_what_the_evaluation_published(made: Made) -> None:
    published = pd.read_csv(made.root / "metrics/details/predictions.csv").set_index("clip_id")
    tried = pd.read_csv(made.root / "metrics/details/verification_trials.csv")
    clips = made.clips.set_index("clip_id")
    predictor = Predictor([made.root / "models/fold-1"])
    assert predictor.asks_claim
    for speaker, own in tried.groupby("speaker"):
        predictor.enrol(sorted((made.root / "raw").glob(f"{speaker}-enrolment-*.wav")))
        for clip_id, odds in own[["clip_id", "cm_score"]].to_numpy():
            path = made.root / "raw" / clips.loc[clip_id, "path"]
            found = predictor.predict(path.read_bytes()).probabilities
            assert np.log(found["bonafide"] / found["spoof"]) == pytest.approx(odds, abs=1e-4)
            if clips.loc[clip_id, "speaker"] == speaker:
                assert found["bonafide"] == pytest.approx(published.loc[clip_id, "score_bonafide"], abs=1e-5)


def test_predict_says_in_a_line_that_it_needs_to_know_who_is_claimed(made: Made) -> None:
    clip = str(made.root / "raw/eval0-bonafide-0.wav")
    model = str(made.root / "models/fold-1")
    refused = CliRunner().invoke(app, ["predict", model, clip])
    assert refused.exit_code == 1
    assert "must know who is claimed to speak; give recordings of that speaker by --enrolment" in refused.output
    enrolled = CliRunner().invoke(app, ["predict", model, clip, "--enrolment", clip])
    assert enrolled.exit_code == 0, enrolled.output
    assert "bonafide" in enrolled.output
    with pytest.raises(InputError, match="must know who is claimed to speak; give recordings of that speaker"):
        Predictor([made.root / "models/fold-1"]).predict(Path(clip).read_bytes())
    (made.root / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"broken\.wav: .*; enrol the speaker by another recording"):
        Predictor([made.root / "models/fold-1"]).enrol([made.root / "broken.wav"])


def test_verify_decides_as_the_run_decided_on_its_trials(made: Made) -> None:
    tried = pd.read_csv(made.root / "metrics/details/verification_trials.csv")
    clips, model = made.clips.set_index("clip_id"), made.root / "models/fold-1"
    for speaker, own in tried.groupby("speaker"):
        verifier = Verifier(model, sorted((made.root / "raw").glob(f"{speaker}-enrolment-*.wav")))
        for row in own.to_dict("records"):
            with open(made.root / "raw" / clips.loc[row["clip_id"], "path"], "rb") as file:
                found = verifier.verify(file)
            assert found.verification_score == pytest.approx(row["asv_score"], abs=1e-3)
            assert found.countermeasure_score == pytest.approx(row["cm_score"], abs=1e-4)
            assert found.score == pytest.approx(row["blended"], abs=2e-3)
            if abs(row["blended"] - verifier.decision.threshold) > 0.01:
                assert found.accepted == (row["blended"] > verifier.decision.threshold)


def test_verify_prints_a_line_or_an_object_for_each_recording(made: Made) -> None:
    clips = [str(made.root / f"raw/eval0-{name}.wav") for name in ("bonafide-0", "spoof-3")]
    command = [
        "verify",
        str(made.root / "models/fold-1"),
        *clips,
        "--enrolment",
        str(made.root / "raw/eval0-enrolment-6.wav"),
    ]
    text, objects = CliRunner().invoke(app, command), CliRunner().invoke(app, [*command, "--json"])
    assert text.exit_code == objects.exit_code == 0, text.output
    shown = [line for line in text.output.splitlines() if " verification " in line]
    for path, line, told in zip(clips, shown, map(json.loads, objects.stdout.splitlines()), strict=True):
        assert told["path"] == path
        assert line.startswith(f"{path}  {'accepted' if told['accepted'] else 'rejected'}  {told['score']:.3f}")
    shutil.copytree(made.root / "models/fold-1", made.root / "undecided")
    (made.root / "undecided/speaker/decision.json").unlink()
    with pytest.raises(InputError, match="the model verifies no speakers"):
        Verifier(made.root / "undecided", [Path(clips[0])])
    with pytest.raises(InputError, match="not found; give a folder such as models/fold-1"):
        Verifier(made.root / "nowhere", [Path(clips[0])])


def test_an_export_takes_the_claimed_speakers_vector(made: Made, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(made.root / "models/fold-1"), "--onnx", str(tmp_path / "model.onnx")])
    assert done.exit_code == 0, done.output
    model = load(made.root / "models/fold-1")
    waveform, claimed = 0.1 * torch.randn(3, model.n_samples), torch.nn.functional.normalize(torch.randn(3, 8))
    inputs = {"waveform": waveform.numpy(), "claimed": claimed.numpy()}
    [logits] = InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"]).run(["logits"], inputs)
    torch.testing.assert_close(torch.from_numpy(logits), model(waveform, claimed=claimed), atol=1e-3, rtol=1e-4)
    with pytest.raises(ValueError, match="takes a claimed speaker's vector of 8 numbers, got none"):
        model(waveform)


def test_own_vectors_take_the_place_of_the_network(made: Made, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "own.npz", **{name: rng.standard_normal(8) for name in made.clips["clip_id"]})
    with pytest.raises(InputError, match=r"set speaker\.file=") as told:
        made.embed("refused", source="file", file=str(tmp_path / "own.npz"))
    named = str(told.value).partition("set speaker.file=")[2]
    speakers = made.embed("own", source="file", file=named)
    assert sorted(path.name for path in (speakers / "fold-1").iterdir()) == ["enrolled.parquet", "vectors.parquet"]
    stages = (made.root / "features", made.root / "trained", speakers)
    found = evaluate(made.clips, made.folds, made.config, *stages, verification_trials=made.trials)
    assert found.report.summary["sv_eer"]["mean"] > 0.2  # vectors of chance tell nobody apart
    found.write_models(made.root / "trained", tmp_path / "models", speakers)
    with pytest.raises(InputError, match="brings no speaker network"):
        Predictor([tmp_path / "models/fold-1"]).enrol([made.root / "raw/eval0-enrolment-6.wav"])


def test_nothing_is_embedded_unless_asked_for_and_nobody_without_enrolment(made: Made) -> None:
    assert [path.name for path in made.embed("none", source="none").iterdir()] == ["source.json"]
    with pytest.raises(InputError, match=r"speaker\.source=learned, but the data set enrols no speakers"):
        replace(made, clips=made.clips.drop(columns="use")).embed("refused")
