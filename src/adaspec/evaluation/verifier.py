"""Is this the enrolled speaker, live? The decision of a run's chosen blend on new recordings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from adaspec.audio import LONGEST_S, recording_of
from adaspec.evaluation.trials.blends import BLENDS
from adaspec.evaluation.trials.decision import COHORT, Decision
from adaspec.models.enrolment import network_of, read_enrolment, vector_of, waveform_of
from adaspec.models.evaluated import log_odds
from adaspec.models.predictor import Predictor
from adaspec.models.recordings import each_recording, find_audio, outcome
from adaspec.models.saved import SPEAKER
from adaspec.runtime.console import show
from adaspec.runtime.text import visible
from adaspec.speakers.enrolment import verification_scores
from adaspec.speakers.vectors import Vectors, read_vectors
from adaspec.tables import BONAFIDE, SPOOF
from adaspec.tables.verification_files import ASV_SCORE, CM_SCORE

__all__ = ["Verdict", "Verifier", "verify_files"]

ENROLLED, TESTED = "enrolled", "tested"


@dataclass(frozen=True)
class Verdict:
    """What a recording was taken for.

    Attributes
    ----------
    accepted : bool
        Whether it is the enrolled speaker, live.
    score : float
        Of the blend; accepted at its threshold and above.
    verification_score, countermeasure_score : float
        Of each system alone; higher is more the speaker, and more bona fide.
    notes : list of str
        As in `Prediction`.
    """

    accepted: bool
    score: float
    verification_score: float
    countermeasure_score: float
    notes: list[str]


class Verifier:
    """Decide on recordings as a run decided on its test trials.

    Parameters
    ----------
    folder : Path
        A model such as models/fold-1, of a run with `speaker.source=learned`.
    enrolment : sequence of Path
        Recordings of the claimed speaker, or folders of such.

    Raises
    ------
    InputError
        The model verifies no speakers, or a recording cannot be used.
    """

    def __init__(self, folder: Path, enrolment: Sequence[Path]) -> None:
        self.predictor = Predictor([folder])
        self.decision = Decision.read(folder / SPEAKER)
        self.cohort: Vectors = read_vectors(folder / SPEAKER / COHORT)
        self.network = network_of(folder)
        vector = vector_of(self.network, read_enrolment(find_audio(enrolment), self.predictor.contract))
        self.known = {ENROLLED: vector[0].numpy()}
        if self.predictor.asks_claim:
            self.predictor.claims = [vector]

    def verify(self, file: BinaryIO, longest_s: float = LONGEST_S) -> Verdict:
        """Decide on one recording.

        Parameters
        ----------
        file : binary file
            A whole audio file.
        longest_s : float
            Longest duration that is taken, in seconds.

        Raises
        ------
        BadClipError
            It cannot be used as audio.
        """
        recording = recording_of(file, longest_s)
        kept = self.predictor.quantise(recording)
        found = self.predictor.predict_quantised(recording, kept)
        vector = vector_of(self.network, [waveform_of(kept)])[0].numpy()
        trial = pd.DataFrame({"clip_id": [TESTED], "speaker": [ENROLLED]})
        verification = verification_scores(trial, self.known, {TESTED: vector}, self.cohort, self.decision.cohort)
        bonafide, spoof = (found.probabilities[label] for label in (BONAFIDE, SPOOF))
        detector = float(log_odds(np.array([bonafide]), np.array([spoof]))[0])
        scores = pd.DataFrame({ASV_SCORE: verification, CM_SCORE: [detector]})
        blended = float(BLENDS[self.decision.blend](scores, self.decision.trials)[0])
        return Verdict(blended >= self.decision.threshold, blended, float(verification[0]), detector, found.notes)


def verify_files(verifier: Verifier, paths: Sequence[Path], *, as_json: bool) -> None:
    """Decide on files, or folders of such, and print it as it comes: a line each, or JSON, an object each.

    Raises
    ------
    InputError
        Some could not be decided on; the others were.
    """
    files, done = find_audio(paths), "decided on"
    for path, verdict in each_recording(files, (outcome(path, verifier.verify, done) for path in files), done):
        name, told = visible(str(path)), asdict(verdict)
        if as_json:
            show(json.dumps({"path": name, **{key: value for key, value in told.items() if key != "notes"}}))
        else:
            decided = "accepted" if verdict.accepted else "rejected"
            show(
                f"{name}  {decided}  {verdict.score:.3f} (threshold {verifier.decision.threshold:.3f})  verification "
                f"{verdict.verification_score:.3f}  countermeasure {verdict.countermeasure_score:.3f}"
            )
