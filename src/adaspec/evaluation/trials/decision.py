"""How a run decides on verification trials, kept beside its models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from adaspec.errors import InputError
from adaspec.evaluation.trials.blends import BLENDS
from adaspec.runtime.files import read_csv, write_csv, write_json
from adaspec.tables.verification_files import ASV_SCORE, CM_SCORE

__all__ = ["COHORT", "Decision"]

# Beside the speaker network: how it decides, trials that a blend is fitted on, vectors of training speakers.
DECISION, KNOWN_TRIALS, COHORT = "decision.json", "validation_trials.csv", "cohort.parquet"


@dataclass(frozen=True)
class Decision:
    """How a run decided on its trials.

    Attributes
    ----------
    blend : str
        Key of `BLENDS`.
    threshold : float
        Score of the blend at which a speaker is accepted.
    cohort : int
        Nearest training speakers that verification scores are normalised by.
    trials : DataFrame or None
        Labelled validation trials that a calibrated blend is fitted on: `label`, `asv_score`, `cm_score`.
    """

    blend: str
    threshold: float
    cohort: int
    trials: pd.DataFrame | None

    def write(self, folder: Path) -> None:
        """Write decision.json and, where there are any, validation_trials.csv into an existing folder."""
        content = {"blend": self.blend, "threshold": self.threshold, "cohort": self.cohort}
        write_json(folder / DECISION, content)
        if self.trials is not None:
            write_csv(folder / KNOWN_TRIALS, self.trials[["label", ASV_SCORE, CM_SCORE]])

    @classmethod
    def read(cls, folder: Path) -> Decision:
        """Read what `write` wrote.

        Raises
        ------
        InputError
            It is not there, or is none.
        """
        try:
            content = json.loads((folder / DECISION).read_text(encoding="utf-8"))
            known = folder / KNOWN_TRIALS
            trials = read_csv(known, **{ASV_SCORE: "float64", CM_SCORE: "float64"}) if known.exists() else None
            found = cls(str(content["blend"]), float(content["threshold"]), int(content["cohort"]), trials)
            if found.blend not in BLENDS or (BLENDS[found.blend].calibrated and trials is None):
                raise ValueError
        except FileNotFoundError:
            raise InputError(
                f"{folder / DECISION} not found: the model verifies no speakers; train it with speaker.source=learned, "
                "and evaluate it on verification trials"
            ) from None
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{folder / DECISION} is damaged; restore the folder with 'dvc repro'") from None
        return found
