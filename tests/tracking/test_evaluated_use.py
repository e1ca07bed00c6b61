"""A model gives wherever it is used what its evaluation published, without being told how it was evaluated."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from toydata import make_toy
from typer.testing import CliRunner

from adaspec.audio import quantise, recording_of
from adaspec.cli import app
from adaspec.config import flatten
from adaspec.errors import InputError
from adaspec.evaluation.evaluate import evaluate
from adaspec.experiments.recipes import read_recipe
from adaspec.features.representation import Waveform, feature_contract, representation_of
from adaspec.features.windows import cut, even_starts, vote
from adaspec.models.evaluated import Evaluated, decide
from adaspec.models.predictor import Predictor
from adaspec.models.saved import load
from adaspec.tracking.serving import _load_pyfunc
from adaspec.training.fit import fit_fold
from adaspec.training.spectrograms import cache_spectrograms

ROOT = Path(__file__).parents[2]
# A recipe whose detector knows the claimed speaker is evaluated and used in tests/speakers.
RECIPES = [path.stem for path in sorted((ROOT / "recipes").glob("*.yaml")) if "\nspeaker:" not in path.read_text()]
MAJORITY = {"evaluate.vote": "majority", "evaluate.overlap": 0.5, "features.window.length_s": 0.06}
# What a recipe is used with, all but the size of its network and how it is trained.
USED = ("audio.", "features.", "frontend.", "backbone.", "evaluate.")
SMALLER: dict[str, Any] = {
    "backbone.resnet.widths": (4, 8),
    "backbone.ast.embed_dim": 24,
    "backbone.ast.num_heads": 2,
    "backbone.ast.depth": 1,
    "evaluate.n_bootstrap": 100,
    "augment.enabled": False,
    "train.epochs": 1,
}


def knobs_of(recipe: str, root: Path) -> dict[str, Any]:
    """Knobs of a recipe, with a network that trains in a second."""
    root.mkdir()
    with contextlib.chdir(ROOT):
        _, config = read_recipe(recipe, root)
    knobs = {name: value for name, value in flatten(config).items() if name.startswith(USED)} | SMALLER
    knobs["backbone.members"] = min(2, config.backbone.members)
    return knobs | ({"backbone.name": "resnet"} if config.backbone.name == "resnet18" else {})


def onnx_scores(path: Path, recordings: list[Path], model: Path) -> tuple[list[str], np.ndarray]:
    """Labels and scores by the file and its metadata, as its users compute them."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    evaluated = Evaluated.model_validate_json(told["evaluation"])
    kept = representation_of(feature_contract(load(model).config))
    n_samples, rows = int(told["n_samples"]), []
    for recording in recordings:
        trimmed = quantise(recording_of(recording.read_bytes()), int(told["sample_rate"]), json.loads(told["trim_db"]))
        samples = torch.from_numpy(trimmed.samples)
        steps = even_starts(kept.length(len(samples)), kept.length(n_samples), evaluated.overlap)
        starts = [step * kept.samples_per_step for step in steps]
        windows = torch.stack([cut(samples, start, n_samples, told["pad"], Waveform()) for start in starts])
        [logits] = session.run(["logits"], {"waveform": (windows.float() / 32768).numpy()})
        probabilities = torch.from_numpy(logits).softmax(1)
        rows.append(vote(probabilities, torch.zeros(len(starts), dtype=torch.int64), 1, evaluated.vote)[0].numpy())
    scores = np.stack(rows)
    return decide(scores, json.loads(told["labels"]), evaluated.threshold), scores


@pytest.mark.parametrize("recipe", [*RECIPES, "majority"])
def test_predict_serving_and_onnx_give_what_the_evaluation_published(recipe: str, tmp_path: Path) -> None:
    first, second = ("bonafide", "spoof") if recipe in ("asv-libri", "asv-mini", "majority") else ("high", "low")
    if recipe == "majority":
        toy = make_toy(tmp_path, {first: 9, second: 11}, **MAJORITY, **{"train.epochs": 3, "backbone.name": "cnn"})
    else:
        knobs = knobs_of(recipe, tmp_path / "raw")
        # What is shorter than a window is filled up as it is stored, which for a spectrogram is not what an ONNX file
        # makes of a waveform that is filled up. Those of ESC-50, which such recipes are for, last 5 s as windows do.
        seconds = (5.0, 7.0) if knobs["frontend.name"] == "fbank" else (2.0, 7.0)
        toy = make_toy(tmp_path, {first: 5, second: 7}, seconds, **knobs)
    trained, models = tmp_path / "trained", tmp_path / "models"
    stores = cache_spectrograms(toy.config, toy.labels, [1, 2], toy.features, tmp_path / "stores")
    for fold in (1, 2):
        task = fold, toy.rows(fold), toy.labels, toy.config, toy.features
        fit_fold(*task, tmp_path / f"checkpoints-{fold}", trained / f"fold-{fold}", spectrograms=stores.get(fold))
    found = evaluate(toy.clips, toy.folds, toy.config, toy.features, trained)
    found.write(tmp_path / "metrics")
    found.write_models(trained, models)
    published = pd.read_csv(tmp_path / "metrics/details/predictions.csv", dtype={"clip_id": str}).query("fold == 1")
    clips = toy.clips.set_index("clip_id").loc[published["clip_id"]]
    recordings, scores = (
        [tmp_path / "raw" / path for path in clips["path"]],
        published[[f"score_{first}", f"score_{second}"]],
    )

    predictor = Predictor([models / "fold-1"])
    predictions = [predictor.predict(recording.read_bytes()) for recording in recordings]
    assert max(len(each.windows) for each in predictions) > (0 if toy.config.features.window.length_s == 5 else 2)
    assert [each.label for each in predictions] == list(published["predicted"])
    np.testing.assert_allclose([list(each.probabilities.values()) for each in predictions], scores, atol=1e-5)

    served = _load_pyfunc(str(models / "fold-1")).predict(pd.DataFrame({"path": list(map(str, recordings))}))
    assert list(served["label"]) == list(published["predicted"])
    np.testing.assert_allclose(served.drop(columns="label"), scores, atol=1e-5)

    result = CliRunner().invoke(app, ["export", str(models / "fold-1"), "--onnx", str(tmp_path / "model.onnx")])
    assert result.exit_code == 0, result.stderr
    labels, values = onnx_scores(tmp_path / "model.onnx", recordings, models / "fold-1")
    assert labels == list(published["predicted"])
    np.testing.assert_allclose(values, scores, atol=1e-5)

    if first == "bonafide":
        thresholds = [found.evaluated[fold].threshold for fold in (1, 2)]
        assert [threshold.label for threshold in thresholds if threshold] == ["bonafide", "bonafide"]
        both = Predictor([models / "fold-1", models / "fold-2"]).threshold
        assert both is not None
        assert both.log_odds == pytest.approx(np.mean([threshold.log_odds for threshold in thresholds if threshold]))
    with pytest.raises(InputError, match="was trained, but not evaluated"):
        Predictor([trained / "fold-1"])
