"""The Lightning module of one fold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from adaspec.config import Config
from adaspec.errors import InputError
from adaspec.features.representation import Decoder
from adaspec.features.windows import vote
from adaspec.models.classifier import AudioClassifier
from adaspec.models.scoring import probabilities
from adaspec.runtime.seeding import torch_seed
from adaspec.tasks import Task
from adaspec.training.adversarial import attacked
from adaspec.training.augment import augment_compressed, augment_inputs, augment_spectrograms, sound_of
from adaspec.training.augment.sounds import SpectrogramSound
from adaspec.training.consistency import disagreement
from adaspec.training.embeddings import head_inputs
from adaspec.training.optimisers import build_optimizer, build_schedule

__all__ = ["FoldModule"]


class FoldModule(pl.LightningModule):
    """Training and validation of an `AudioClassifier` on windows.

    Parameters
    ----------
    model : AudioClassifier
    task : Task
    config : Config
        Resolved.
    fold : int
    class_weight : Tensor of shape (n_classes,)
        Weight of each class in the loss.
    validation_targets : Tensor of shape (n_validation_clips,)
        Class index of each validation clip, in the order of `EvenWindows`.
    representation, validation_representation : Decoder
        What the batches of training and of validation hold.
    validation_claims : Tensor of shape (n_validation_clips, n_claimed), optional
        Vectors of their claimed speakers, for a model that takes such.
    """

    class_weight: Tensor

    def __init__(
        self,
        model: AudioClassifier,
        task: Task,
        config: Config,
        fold: int,
        class_weight: Tensor,
        validation_targets: Tensor,
        *,
        representation: Decoder,
        validation_representation: Decoder,
        validation_claims: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model, self.task, self.config, self.fold = model, task, config, fold
        self.representation, self.validation_representation = representation, validation_representation
        self.sound = sound_of(representation.domain, model.frontend)
        self.spectrogram_sound = SpectrogramSound(model.frontend)
        self.register_buffer("class_weight", class_weight, persistent=False)
        self.validation_targets, self.validation_claims = validation_targets, validation_claims
        learned = {name: value for name, value in model.frontend.named_parameters() if value.requires_grad}
        self.learned = {parameter: model.frontend.rates[name] for name, parameter in learned.items()}
        self.start = [parameter.detach().clone() for parameter in self.learned]
        if config.train.only_frontend:
            # Its statistics belong to its weights; Lightning keeps the modes that modules have.
            model.backbone.requires_grad_(False).eval()
        self.train_losses: list[Tensor] = []
        self.validation_outputs: list[tuple[Tensor, Tensor]] = []

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        # Not on_train_epoch_start, which Lightning leaves out in the epoch after a resume.
        if batch_index == 0:
            self.train_losses.clear()
            torch.manual_seed(torch_seed(self.config.seed, self.fold, self.current_epoch, "dropout"))
            learning = self.current_epoch >= self.config.train.frontend.freeze_epochs
            for parameter in self.learned:
                parameter.requires_grad_(learning)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_index: int) -> Tensor:
        stored, classes, claimed = batch
        augment, model, representation = self.config.augment, self.model, self.representation
        targets = self.task.targets(classes)
        # bf16 is for the network: what is done to sound and spectrograms is computed in full, on every device.
        with self._seeded("augment", batch_index), torch.autocast(self.device.type, enabled=False):
            inputs = representation.decode(stored)
            if representation.domain == "waveform":
                inputs, sources = self.task.augment(inputs, classes, model.sample_rate)
                claimed = claimed[sources]
            inputs, targets = augment_inputs(inputs, targets, self.sound, augment)
            with self._told():
                if augment.adversarial_db is not None:
                    seed = torch_seed(self.config.seed, self.fold, self.current_epoch, "adversarial", batch_index)
                    inputs = attacked(model, inputs, targets, claimed, augment.adversarial_db, seed)
                spectrogram = model.frontend.spectrogram(inputs) if representation.domain == "waveform" else inputs
            spectrogram = augment_spectrograms(spectrogram, model.n_frames, self.spectrogram_sound, augment)
            compressed = augment_compressed(model.frontend.compress(spectrogram), augment)
        contrast = self.config.train.loss.contrast
        noting: AbstractContextManager[list[Tensor]] = head_inputs(model.backbone) if contrast else nullcontext([])
        with noting as embeddings:
            logits = model.members(compressed.contiguous(memory_format=torch.channels_last), claimed)
        # Each member of an ensemble has its own loss.
        loss = self.task.loss(logits.flatten(0, 1), targets.repeat(len(logits), 1), self.class_weight)
        if weight := augment.attributes.consistency:
            loss = loss + weight * disagreement(logits)
        if contrast:
            own = [self.task.contrast(each, targets) for each in embeddings]
            loss = loss + contrast * torch.stack(own).mean()
        self.train_losses.append(loss.detach())
        tightness = self.config.train.frontend.tightness
        penalty = model.frontend.penalty() if tightness else None
        return loss if penalty is None else loss + tightness * penalty

    @contextmanager
    def _seeded(self, *purpose: int | str) -> Iterator[None]:
        """Draw from (seed, fold, epoch, purpose); afterwards PyTorch goes on as if nothing had been drawn."""
        on_gpu = self.device.type == "cuda"
        with torch.random.fork_rng(devices=[self.device] if on_gpu else []):
            # Not torch.manual_seed: it takes 2 ms, most of them to note who would seed a GPU that is not in use.
            seed = torch_seed(self.config.seed, self.fold, self.current_epoch, *purpose)
            torch.default_generator.manual_seed(seed)  # which single numbers come from, wherever the batch is
            if on_gpu:
                torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)
            yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in one line what a front end that diverged raises."""
        try:
            yield
        except ValueError as error:  # kernels that cannot be made orthonormal any more
            raise InputError(
                f"training diverged in epoch {self.current_epoch + 1}: {error}; see train.frontend.lr_multiplier and "
                "train.frontend.gradient_clip"
            ) from None

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        positions, stored = batch
        with self._told():
            claims = self.validation_claims
            claimed = None if claims is None else claims[positions.cpu()].to(stored.device)
            found = probabilities(self.model, stored, self.validation_representation, claimed)
        self.validation_outputs.append((positions, found))

    def on_validation_epoch_end(self) -> None:
        positions = torch.cat([positions for positions, _ in self.validation_outputs]).cpu()
        windows = torch.cat([rows for _, rows in self.validation_outputs]).cpu()
        self.validation_outputs.clear()
        targets = self.validation_targets
        scores = vote(windows, positions, len(targets), "mean")
        # The floor keeps the loss finite where the true class has no probability left.
        own = scores.gather(1, targets[:, None]).clamp_min(1e-7)
        self.log("validation_loss", -own.log().mean())
        self.log("validation_accuracy", (scores.argmax(dim=1) == targets).float().mean())

    def configure_optimizers(self) -> Any:
        train = self.config.train
        rest = [parameter for parameter in self.model.backbone.parameters() if parameter.requires_grad]
        optimizer = build_optimizer(rest, self.learned, train)
        n_steps = int(self.trainer.estimated_stepping_batches)
        scheduler = build_schedule(optimizer, n_steps, train)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: Any, **__: Any) -> None:
        train = self.config.train
        for parameters, largest in (
            (self.model.backbone.parameters(), train.gradient_clip),
            (self.learned, train.frontend.gradient_clip),
        ):
            if largest is not None:
                nn.utils.clip_grad_norm_(parameters, largest)

    def optimizer_step(self, epoch: int, batch_index: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        super().optimizer_step(epoch, batch_index, optimizer, optimizer_closure)
        if self.learned and self.config.train.frontend.l2_sp > 0:
            group = optimizer.param_groups[0]
            share = group["lr"] / group["initial_lr"] * self.config.train.frontend.l2_sp
            with torch.no_grad():
                for parameter, start in zip(self.learned, self.start, strict=True):
                    parameter.lerp_(start.to(parameter.device), share)
