"""What a fold's evaluation knows of speakers: vectors of recordings and of whom they are claimed to be of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from adaspec.speakers.enrolment import claimed, cohort_of, verification_scores
from adaspec.speakers.vectors import ENROLLED, VECTORS, Vectors, read_vectors
from adaspec.tables import ROLES, SUBSETS

__all__ = ["Speaking"]

ROLE_OF_SUBSET = dict(zip(SUBSETS, ROLES, strict=True))


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

    def trials(self, verification_trials: pd.DataFrame, used: pd.DataFrame) -> pd.DataFrame:
        """Verification trials that the fold can be judged by.

        Parameters
        ----------
        verification_trials : DataFrame
            verification_trials.csv, and what clips.csv tells of their clips.
        used : DataFrame
            Rows of the fold: `clip_id`, `role`, `label`, and `speaker` where the data set tells it.

        Returns
        -------
        DataFrame
            The same columns and `role` (validation or test): none of a claimed speaker whom the fold trains with. Empty
            where there are no vectors.
        """
        if not self.vectors:
            return verification_trials.assign(role="")[:0]
        training = used[used["role"] == "train"]
        self.cohort = cohort_of(training, self.vectors)
        role = verification_trials["clip_id"].map(used.set_index("clip_id")["role"])
        trials = verification_trials.assign(role=role.fillna(verification_trials["subset"].map(ROLE_OF_SUBSET)))
        kept = trials["role"].isin(["validation", "test"]) & ~trials["speaker"].isin(training["speaker"])
        return trials[kept]

    def verify(self, trials: pd.DataFrame, n_nearest: int) -> npt.NDArray[np.float32]:
        """Verification scores (n_trials,), normalised by the nearest training speakers."""
        return verification_scores(trials, self.enrolled, self.vectors, self.cohort, n_nearest)
