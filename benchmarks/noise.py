"""What the models of the last run say of their test clips with white noise, by that run's own code.

    PYTHONPATH=src python benchmarks/noise.py SNR_DB FILE

Started at the root of a repository in which the pipeline has run. FILE gets a table as metrics/details/predictions.csv
is one. The draw of the noise is the clip's alone, so that models of several runs hear the same.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from adaspec.audio import decode
from adaspec.experiments.runs import read_predictions
from adaspec.models.predictor import Predictor
from adaspec.tables.columns import PREDICTED_COLUMNS, score_column


def predict_in_noise(snr_db: float) -> pd.DataFrame:
    settings = yaml.safe_load(Path("params.yaml").read_text())
    clips = pd.read_csv("data/clips.csv", dtype=str).set_index("clip_id")
    tested = read_predictions("metrics/details")
    voting = {key: settings["evaluate"][key] for key in ("vote", "overlap")}
    rows = []
    for fold, own in tested.groupby("fold"):
        predictor = Predictor([Path(f"models/fold-{fold}")], **voting)
        for clip in own["clip_id"]:
            path = Path(settings["dataset"]["root"], clips.loc[clip, "path"])
            waveform, sample_rate = decode(path.read_bytes())
            noise = np.random.default_rng(zlib.crc32(clip.encode())).standard_normal(len(waveform))
            scale = np.sqrt(np.mean(np.square(waveform, dtype=np.float64)) / 10 ** (snr_db / 10))
            found = predictor.predict_waveform(waveform + scale * noise, sample_rate)
            scores = {score_column(name): value for name, value in found.probabilities.items()}
            rows.append({"clip_id": clip, "predicted": found.label} | scores)
    kept = tested[[name for name in PREDICTED_COLUMNS if name in tested and name != "predicted"]]
    return kept.merge(pd.DataFrame(rows), on="clip_id")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("snr_db", type=float, metavar="SNR_DB")
    parser.add_argument("file", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    predict_in_noise(arguments.snr_db).to_csv(arguments.file, index=False)


if __name__ == "__main__":
    main()
