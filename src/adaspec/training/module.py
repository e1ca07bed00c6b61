"""The Lightning module of one fold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from adaspec.config import Config, TrainConfig
from adaspec.errors import InputError
from adaspec.model import AudioClassifier
from adaspec.seeding import torch_seed
from adaspec.training.augment import augment_energies, augment_inputs, spec_augment
from adaspec.training.losses import classification_loss
from adaspec.training.resynthesis import replace_spoofs
from adaspec.windows import vote

__all__ = ["FoldModule", "learning_rate_factor"]


def learning_rate_factor(step: int, n_steps: int, n_epoch_steps: int, config: TrainConfig) -> float:
    """Learning rate at `step` over its highest: linear warm-up, then half a cosine to 0, or gamma per epoch.

    Parameters
    ----------
    step, n_steps, n_epoch_steps : int
        Current step, steps in all and per epoch.
    config : TrainConfig
    """
    n_warmup = config.warmup_fraction * n_steps
    if step < n_warmup:
        return (step + 1) / (n_warmup + 1)
    if config.schedule == "exponential":
        return float(config.gamma ** ((step - n_warmup) / n_epoch_steps))
    return 0.5 * (1 + math.cos(math.pi * (step - n_warmup) / (n_steps - n_warmup)))


class FoldModule(pl.LightningModule):
    """Training and validation of an `AudioClassifier` on windows.

    Parameters
    ----------
    model : AudioClassifier
    config : Config
        Resolved.
    fold : int
    class_weight : Tensor of shape (n_classes,)
        Weight of each class in the loss.
    validation_targets : Tensor of shape (n_validation_clips,)
        Class index of each validation clip, in the order of `EvenWindows`.
    """

    class_weight: Tensor

    def __init__(
        self, model: AudioClassifier, config: Config, fold: int, class_weight: Tensor, validation_targets: Tensor
    ) -> None:
        super().__init__()
        self.model, self.config, self.fold = model, config, fold
        self.register_buffer("class_weight", class_weight, persistent=False)
        self.validation_targets = validation_targets
        self.learned = [parameter for parameter in model.frontend.parameters() if parameter.requires_grad]
        self.start = [parameter.detach().clone() for parameter in self.learned]
        self.train_losses: list[Tensor] = []
        self.validation_outputs: list[tuple[Tensor, Tensor]] = []

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        # Not on_train_epoch_start, which Lightning leaves out in the epoch after a resume.
        if batch_index == 0:
            self.train_losses.clear()
            torch.manual_seed(torch_seed(self.config.seed, self.fold, self.current_epoch, "dropout"))
            learning = self.current_epoch >= self.config.train.frontend_freeze_epochs
            for parameter in self.learned:
                parameter.requires_grad_(learning)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        stored, labels = batch
        augment, model = self.config.augment, self.model
        targets = nn.functional.one_hot(labels, len(model.labels)).float()
        with self._seeded("augment", batch_index):
            inputs = model.input_of(stored)
            if augment.resynthesis:
                inputs = replace_spoofs(inputs, labels, model.labels, augment.resynthesis, model.sample_rate)
            inputs, targets = augment_inputs(inputs, targets, model.frontend, augment)
            energies = augment_energies(self._energies(inputs), model.n_frames, augment)
            spectrogram = spec_augment(model.frontend.compress(energies), augment)
        logits = model.backbone(spectrogram.contiguous(memory_format=torch.channels_last))
        targets = targets.repeat(len(logits) // len(targets), 1)  # of an ensemble, for each member
        loss = classification_loss(logits, targets, self.class_weight, self.config.train)
        self.train_losses.append(loss.detach())
        return loss

    @contextmanager
    def _seeded(self, *purpose: int | str) -> Iterator[None]:
        """Draw from (seed, fold, epoch, purpose); afterwards PyTorch goes on as if nothing had been drawn."""
        on_gpu = self.device.type == "cuda"
        with torch.random.fork_rng(devices=[self.device] if on_gpu else []):
            # Not torch.manual_seed: it takes 2 ms, most of them to note who would seed a GPU that is not in use.
            generator = torch.cuda.default_generators[self.device.index or 0] if on_gpu else torch.default_generator
            generator.manual_seed(torch_seed(self.config.seed, self.fold, self.current_epoch, *purpose))
            yield

    def _energies(self, inputs: Tensor) -> Tensor:
        try:
            return self.model.energies(inputs)
        except ValueError as error:  # kernels that cannot be made orthonormal any more
            raise InputError(
                f"training diverged in epoch {self.current_epoch + 1}: {error}; see train.frontend_lr_multiplier and "
                "train.frontend_gradient_clip"
            ) from None

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        positions, stored = batch
        logits = self.model.classify(self.model.input_of(stored))
        self.validation_outputs.append((positions, logits.float().softmax(dim=1)))

    def on_validation_epoch_end(self) -> None:
        positions = torch.cat([positions for positions, _ in self.validation_outputs]).cpu()
        probabilities = torch.cat([probabilities for _, probabilities in self.validation_outputs]).cpu()
        self.validation_outputs.clear()
        targets = self.validation_targets
        scores = vote(probabilities, positions, len(targets), "mean")
        # The floor keeps the loss finite where the true class has no probability left.
        own = scores.gather(1, targets[:, None]).clamp_min(1e-7)
        self.log("validation_loss", -own.log().mean())
        self.log("validation_accuracy", (scores.argmax(dim=1) == targets).float().mean())

    def configure_optimizers(self) -> Any:
        train = self.config.train
        rest = [parameter for parameter in self.model.backbone.parameters() if parameter.requires_grad]
        groups = [
            {"params": [parameter for parameter in rest if parameter.ndim > 1], "weight_decay": train.weight_decay},
            {"params": [parameter for parameter in rest if parameter.ndim <= 1], "weight_decay": 0.0},
        ]
        if self.learned:
            rate = train.learning_rate * train.frontend_lr_multiplier
            groups.append({"params": self.learned, "weight_decay": 0.0, "lr": rate})
        optimizer: torch.optim.Optimizer
        if train.optimizer == "sgd":
            optimizer = torch.optim.SGD(groups, lr=train.learning_rate, momentum=train.momentum)
        elif train.optimizer == "muon":
            from timm.optim.muon import Muon  # here, as it takes two seconds to import

            # The others by NAdamW, which timm also takes for narrow matrices and filters of one input channel.
            for group in groups[1:]:
                group["use_fallback"] = True
            # Three Newton-Schulz steps in place of five: the validation loss is no worse, and the work much less.
            optimizer = Muon(groups, lr=train.learning_rate, momentum=train.momentum, nesterov=True, ns_steps=3)
        else:
            optimizer = torch.optim.AdamW(groups, lr=train.learning_rate, fused=True)
        n_steps = int(self.trainer.estimated_stepping_batches)
        n_epoch_steps = max(1, n_steps // train.epochs)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, n_steps, n_epoch_steps, train)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: Any, **__: Any) -> None:
        train = self.config.train
        for parameters, largest in (
            (self.model.backbone.parameters(), train.gradient_clip),
            (self.learned, train.frontend_gradient_clip),
        ):
            if largest is not None:
                nn.utils.clip_grad_norm_(parameters, largest)

    def optimizer_step(self, epoch: int, batch_index: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        super().optimizer_step(epoch, batch_index, optimizer, optimizer_closure)
        if self.learned and self.config.train.frontend_pull > 0:
            rate = optimizer.param_groups[-1]["lr"]
            with torch.no_grad():
                for parameter, start in zip(self.learned, self.start, strict=True):
                    parameter.lerp_(start.to(parameter.device), rate * self.config.train.frontend_pull)
