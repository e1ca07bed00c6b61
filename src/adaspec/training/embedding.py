"""The stage that makes speaker vectors, fold by fold."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from adaspec.config import Config
from adaspec.errors import InputError
from adaspec.runtime.files import complete_folder, write_json
from adaspec.speakers.enrolment import enrolled
from adaspec.speakers.vectors import ENROLLED, VECTORS, Vectors, read_own, write_vectors
from adaspec.tables import BONAFIDE, ENROLMENT, training_rows

__all__ = ["embed_folds"]

log = logging.getLogger(__name__)

SOURCE = "source.json"


def embed_folds(clips: pd.DataFrame, folds: pd.DataFrame, config: Config, features: Path, speakers: Path) -> None:
    """Write vectors for every fold.

    Parameters
    ----------
    clips, folds : DataFrame
        clips.csv and folds.csv.
    config : Config
        Resolved as far as `audio` goes.
    features : Path
        Feature store.
    speakers : Path
        Gets `source.json` and one folder `fold-K` per fold, all or none; no folder where `speaker.source` is none.

    Raises
    ------
    InputError
        The data set tells no speakers or enrols none, or the vectors cannot be had.
    """
    with complete_folder(speakers) as partial:
        write_json(partial / SOURCE, config.speaker.source)  # DVC warns of a folder that is left empty
        if config.speaker.source == "none":
            return
        if "use" not in clips or not (clips["use"] == ENROLMENT).any():
            raise InputError(
                f"params.yaml speaker.source={config.speaker.source}, but the data set enrols no speakers; give it "
                "enrolment recordings (docs/speaker-aware.md), or set speaker.source=none"
            )
        own = (
            read_own(config.speaker.file, clips, config.speaker.n_dimensions)
            if config.speaker.source == "file"
            else None
        )
        rows = training_rows(clips, folds)
        for fold, of_fold in rows.groupby("fold"):
            folder = partial / f"fold-{fold}"
            folder.mkdir()
            trained = of_fold[(of_fold["role"] == "train") & (of_fold["label"] == BONAFIDE)]
            vectors = _learned(clips, trained, config, features, int(str(fold)), folder) if own is None else own
            known = enrolled(clips, vectors)
            write_vectors(folder / VECTORS, vectors)
            write_vectors(folder / ENROLLED, known)
            log.info("fold %s: %s recordings embedded, %s speakers enrolled", fold, len(vectors), len(known))


def _learned(
    clips: pd.DataFrame, trained: pd.DataFrame, config: Config, features: Path, fold: int, folder: Path
) -> Vectors:
    """Vectors of all clips by a network of the training speakers, which is written into the folder."""
    # Imported here: torch takes seconds to load, and nothing of it is needed where no vectors are asked for.

    from adaspec.features.representation import feature_contract
    from adaspec.features.store import FeatureStore
    from adaspec.runtime.engine import compute_alike, torch_device
    from adaspec.runtime.progress import ClipProgress
    from adaspec.speakers.embedding import embed
    from adaspec.speakers.network import save_network
    from adaspec.training.speakers import fit_speaker_network

    compute_alike(config.train.threads_per_fold)
    store = FeatureStore(features, feature_contract(config))
    if store.representation.domain != "waveform":
        raise InputError(
            f"params.yaml speaker.source=learned needs waveforms, but frontend.name={config.frontend.name} stores "
            "spectrograms; set frontend.name=stft, or speaker.source=file"
        )
    assert config.audio.sample_rate is not None
    speaker, device = config.speaker, torch_device(config.train.device)
    network = fit_speaker_network(
        trained,
        speaker.network,
        speaker.n_dimensions,
        config.audio.sample_rate,
        store,
        (config.seed, fold),
        device,
    )
    with ClipProgress("embedding", len(clips)) as progress:
        found = embed(network, list(clips["clip_id"]), store, progress.advance).numpy()
    save_network(network.cpu(), speaker.network, folder)
    return dict(zip(clips["clip_id"], found, strict=True))
