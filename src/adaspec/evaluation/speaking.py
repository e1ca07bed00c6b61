"""What a fold's evaluation knows of speakers: vectors of recordings and of whom they are claimed to be of."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from adaspec.errors import InputError
from adaspec.speakers.enrolment import claimed, cohort_of, verification_scores
from adaspec.speakers.vectors import ENROLLED, VECTORS, Vectors, read_vectors
from adaspec.tables import OFFICIAL_ROLE, VERIFICATION

__all__ = ["Speaking"]

log = logging.getLogger(__name__)


class Speaking:
    """Vectors of one fold; none where the pipeline makes none.

    Parameters
    ----------
    folder : Path or None
        Output of the stage `embed` for the fold.
    """

    def __init__(self, folder: Path | None) -> None:
        self.vectors, self.enrolled = (
            {} if folder is None else read_vectors(folder / name) for name in (VECTORS, ENROLLED)
        )
        self.cohort: Vectors = {}

    def claimed(self, speakers: Iterable[str]) -> Tensor:
        """Vectors (n, n_dimensions) of claimed speakers.

        Raises
        ------
        InputError
            One is not enrolled.
        """
        return torch.from_numpy(claimed(list(speakers), self.enrolled))

    def asked(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows whose `speaker` is enrolled: a detector that asks who is claimed can judge no others."""
        kept = rows[rows["speaker"].isin(self.enrolled)].reset_index(drop=True)
        if len(kept) < len(rows):
            log.warning(
                "%s of %s clips are left out, as no recording enrols their speaker, whom the detector asks for",
                len(rows) - len(kept),
                len(rows),
            )
        return kept

    def trials(self, verification_trials: pd.DataFrame, used: pd.DataFrame) -> pd.DataFrame:
        """Verification trials that the fold can be judged by.

        A trial has the role of its clip; one of the official parts, where the clip is in no fold because nothing but
        verification lists it, has that of its part. Left out are trials in which somebody takes part, as claimed or as
        speaking, of whom the fold has clips in another role: trains with, or chooses or tests by.

        Parameters
        ----------
        verification_trials : DataFrame
            verification_trials.csv, with what clips.csv tells of their clips, and `spoken_by`, their speaker.
        used : DataFrame
            Rows of the fold: `clip_id`, `role`, `label`, and `speaker` where the data set tells it.

        Returns
        -------
        DataFrame
            The same columns and `role` (validation or test). Empty where there are no vectors.
        """
        if not self.vectors:
            return verification_trials.assign(role="")[:0]
        self.cohort = cohort_of(used[used["role"] == "train"], self.vectors)
        role = verification_trials["clip_id"].map(used.set_index("clip_id")["role"])
        of_part = verification_trials["subset"].map(OFFICIAL_ROLE).where(verification_trials["use"] == VERIFICATION)
        trials = verification_trials.assign(role=role.fillna(of_part))
        trials = trials[trials["role"].isin(["validation", "test"])]
        roles = used.groupby("speaker")["role"].agg(set).to_dict()
        kept = [
            all(roles.get(name, set()) <= {role} for name in names)
            for role, *names in trials[["role", "speaker", "spoken_by"]].to_numpy()
        ]
        return trials[kept]

    def verify(self, trials: pd.DataFrame, n_nearest: int) -> npt.NDArray[np.float32]:
        """Verification scores (n_trials,), normalised by the nearest training speakers.

        Raises
        ------
        InputError
            There are fewer than two training speakers to normalise by.
        """
        if n_nearest and len(self.cohort) < 2:
            raise InputError(
                f"params.yaml evaluate.cohort={n_nearest} normalises by training speakers, of whom there are "
                f"{len(self.cohort)}; two are needed, or set evaluate.cohort=0"
            )
        return verification_scores(trials, self.enrolled, self.vectors, self.cohort, n_nearest)
