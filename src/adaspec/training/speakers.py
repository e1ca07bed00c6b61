"""Fit the speaker network: bona fide training speech, a class for each speaker at each of three speeds."""

from __future__ import annotations

import math

import pandas as pd
import torch
from torch import Tensor, nn
from torchaudio.functional import resample

from adaspec.config import AugmentConfig, NoiseConfig, SpeakerNetworkConfig
from adaspec.errors import InputError
from adaspec.features.store import FeatureStore
from adaspec.features.windows import cut, window_samples
from adaspec.runtime.progress import ClipProgress
from adaspec.runtime.seeding import torch_seed
from adaspec.speakers.network import SpeakerNetwork
from adaspec.training.augment import augment_compressed, augment_inputs
from adaspec.training.augment.sounds import WaveformSound

__all__ = ["AngularMargin", "fit_speaker_network"]

SPEEDS = ((10, 10), (9, 10), (11, 10))  # rates from and to which windows are resampled; another speed, another voice
NOISE_COLOR_DB, BANDS_MASKED, FRAMES_MASKED = 4.0, 8, 15
WARM_UP, MARGIN_FROM = 0.1, 0.3  # shares of all steps: the rate rises, the margin grows to its full size


class AngularMargin(nn.Module):
    """Cross-entropy of cosines with a direction for each class, after the own class's angle was widened by a margin.

    Parameters
    ----------
    n_dimensions, n_classes : int
    scale : float
        Factor on the cosines.

    References
    ----------
    J. Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019, eq. 3,
    https://arxiv.org/abs/1801.07698
    """

    def __init__(self, n_dimensions: int, n_classes: int, scale: float) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(n_classes, n_dimensions) / math.sqrt(n_dimensions))
        self.scale = scale

    def forward(self, vectors: Tensor, classes: Tensor, margin: float) -> Tensor:
        """Mean loss of vectors (batch, n_dimensions) of length 1 of classes (batch,); the margin is in rad."""
        cosines = vectors @ nn.functional.normalize(self.directions).T
        own = cosines.gather(1, classes[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)  # acos has no slope at its ends
        widened = torch.cos((own.acos() + margin).clamp_max(math.pi))
        return nn.functional.cross_entropy(self.scale * cosines.scatter(1, classes[:, None], widened), classes)


def fit_speaker_network(
    rows: pd.DataFrame,
    config: SpeakerNetworkConfig,
    n_dimensions: int,
    sample_rate: int,
    store: FeatureStore,
    keys: tuple[int, int],
    device: str,
) -> SpeakerNetwork:
    """Train from random weights.

    Parameters
    ----------
    rows : DataFrame
        `clip_id`, `speaker` of bona fide training clips.
    config : SpeakerNetworkConfig
    n_dimensions : int
        Length of a vector.
    sample_rate : int
        In Hz.
    store : FeatureStore
        Of waveforms.
    keys : (seed, fold)
    device : str

    Returns
    -------
    SpeakerNetwork
        In evaluation mode.

    Raises
    ------
    InputError
        There are fewer than two speakers, or the training diverged.
    """
    speakers = sorted(rows["speaker"].unique())
    if len(speakers) < 2:
        raise InputError(
            f"{len(speakers)} speaker in the bona fide training clips; a speaker network needs two or more: add "
            "speakers, or set speaker.source to none or file"
        )
    torch.manual_seed(torch_seed(*keys, "speakers"))
    network = SpeakerNetwork(sample_rate, n_dimensions, config).to(device)
    loss_of = AngularMargin(n_dimensions, len(speakers) * len(SPEEDS), config.scale).to(device)
    parameters = [*network.parameters(), *loss_of.parameters()]
    optimizer = torch.optim.AdamW(parameters, config.learning_rate, weight_decay=config.weight_decay, fused=True)
    clip_ids = rows["clip_id"].array
    classes = torch.tensor([speakers.index(speaker) for speaker in rows["speaker"]])
    n_window, n_entries = window_samples(config.window_s, sample_rate), len(clip_ids) * len(SPEEDS)
    n_batches = -(-n_entries // config.batch_size)
    n_steps, augment = config.epochs * n_batches, _augment(config)
    sound = WaveformSound(network.frontend)
    with ClipProgress("training the speaker network", config.epochs * n_entries) as progress:
        for step in range(n_steps):
            if step % n_batches == 0:
                order = torch.randperm(n_entries).tensor_split(n_batches)
            entries = order[step % n_batches]
            speeds, own = entries % len(SPEEDS), entries // len(SPEEDS)
            windows = torch.stack(
                [
                    _window(store, clip_ids[int(clip)], n_window, int(speed))
                    for clip, speed in zip(own, speeds, strict=True)
                ]
            )
            targets = (classes[own] + len(speakers) * speeds).to(device)
            waveforms, _ = augment_inputs(windows.to(device), targets, sound, augment)
            vectors = network.embed(augment_compressed(network.normal(waveforms), augment))
            share = step / n_steps
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * min(
                    1.0, (share + 1 / n_steps) / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * share)
                )
            loss = loss_of(vectors, targets, config.margin * min(1.0, share / MARGIN_FROM))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            progress.advance(len(entries))
    if not all(bool(parameter.isfinite().all()) for parameter in parameters):
        raise InputError("the training of the speaker network diverged; lower speaker.network.learning_rate")
    return network.eval()


def _window(store: FeatureStore, clip_id: str, n_window: int, speed: int) -> Tensor:
    """A random window of a clip, +-1, played at one of the speeds."""
    clip = store.tensor(clip_id)
    rate, normal = SPEEDS[speed]
    start = int(torch.randint(len(clip), ()))
    waveform = store.representation.decode(
        cut(clip, start, math.ceil(n_window * rate / normal), "repeat", store.representation)
    )
    return resample(waveform, rate, normal)[:n_window]


def _augment(config: SpeakerNetworkConfig) -> AugmentConfig:
    return AugmentConfig.off().model_copy(
        update={
            "equalizer_db": config.equalizer_db,
            "noise": NoiseConfig(snr_db=config.noise_snr_db, color_db=NOISE_COLOR_DB),
            "freq_mask": BANDS_MASKED,
            "time_mask": FRAMES_MASKED,
        }
    )
