"""Image backbones of timm on spectrograms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from adaspec.backbones.inputs import fill, input_norm
from adaspec.errors import InputError
from adaspec.runtime.text import did_you_mean, one_line

__all__ = ["TimmModel", "check_timm_name"]

PREFIX = "timm:"
SMALLEST = 64  # bands and frames: most models halve the resolution five times,
MULTIPLE = 32  # and some must be able to do so without a remainder


def _import_timm() -> ModuleType:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise InputError(
            f"backbone.name=timm:... needs the package timm, but {error.name} is missing: pip install '.[pipeline]'"
        ) from None
    return timm


def check_timm_name(name: str) -> None:
    """Make sure that timm knows the model of a name such as "timm:resnet18".

    Raises
    ------
    InputError
        It does not, or is missing.
    """
    timm, model = _import_timm(), name.removeprefix(PREFIX)
    if not (model in timm.list_pretrained() if "." in model else timm.is_model(model)):
        hint = did_you_mean(model, timm.list_models() + timm.list_pretrained(), "; see timm.list_models()")
        raise InputError(f"backbone.name={name}: timm {timm.__version__} has no model {model!r}{hint}")


class TimmModel(nn.Module):
    """A timm model with its first convolution for the front end's channels and its head for the classes.

    Parameters
    ----------
    n_channels : int
        Transforms of the front end.
    n_features, n_frames : int
        Height and width of the spectrograms that are trained on. Most models take any width; those that timm makes for
        one size take this one, and others that are filled up to the same multiple of 32.
    n_classes : int
    dropout : float
        timm's `drop_rate`, 0 <= p < 1.
    name : str
        Such as "timm:resnet18".
    pretrained : bool
        Begin with timm's weights for the model (safetensors of its hub), or with those of `weights`.
    weights : str or None
        A .safetensors file.
    freeze : bool
        Train the head and the first convolution alone; frozen batch norms keep their statistics.

    Shapes
    ------
    (batch, n_channels, n_features, n_frames) -> (batch, n_classes)

    Raises
    ------
    InputError
        timm is missing or does not know the model, which cannot be built for the size, or the weights cannot be had or
        do not fit; in use, the model does not take the width.

    References
    ----------
    R. Wightman, "PyTorch Image Models", https://doi.org/10.5281/zenodo.4414861
    """

    def __init__(
        self,
        *,
        n_channels: int,
        n_features: int,
        n_frames: int,
        n_classes: int,
        dropout: float,
        name: str,
        pretrained: bool,
        weights: str | None,
        freeze: bool,
    ) -> None:
        super().__init__()
        check_timm_name(name)
        self.normalize = input_norm(n_channels)
        settings: dict[str, Any] = {"in_chans": n_channels, "num_classes": n_classes, "drop_rate": dropout}
        self.name, self.size = name, (n_features, n_frames)
        self.model, self.multiple, for_size = _fit(name, settings, self.size)
        if pretrained:
            self.model = _load(name, settings | for_size | _source(weights))
        self.frozen: list[nn.Module] = []
        if freeze:
            self._freeze()

    @property
    def num_features(self) -> int:
        """Width of what `forward_features` returns."""
        return int(getattr(self.model, "head_hidden_size", self.model.num_features))

    @property
    def head(self) -> nn.Module:
        """The model's own head."""
        head: nn.Module = self.model.get_classifier()
        return head

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self._run(spectrogram, self.model)

    def forward_features(self, spectrogram: Tensor) -> Tensor:
        """From spectrograms to (batch, num_features)."""
        model = self.model
        return self._run(
            spectrogram, lambda filled: model.forward_head(model.forward_features(filled), pre_logits=True)
        )

    def _run(self, spectrogram: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        size = spectrogram.shape[2:]
        filled = fill(self.normalize(spectrogram), _filled(size, self.multiple))
        try:
            return function(filled)
        except (AssertionError, RuntimeError, ValueError) as error:
            if size == self.size:
                raise
            shapes = " but not ".join(f"{height} x {width}" for height, width in (self.size, size))
            raise InputError(f"backbone.name={self.name} takes spectrograms of {shapes} ({_reason(error)})") from error

    def train(self, mode: bool = True) -> TimmModel:
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def _freeze(self) -> None:
        first, heads = self.model.default_cfg["first_conv"], self.model.get_classifier()
        trained = [self.model.get_submodule(name) for name in ((first,) if isinstance(first, str) else first)]
        trained += [heads] if isinstance(heads, nn.Module) else heads  # distilled models have two
        self.model.requires_grad_(False)
        for module in trained:
            module.requires_grad_(True)
        norms = [module for module in self.model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        self.frozen = [norm for norm in norms if not any(parameter.requires_grad for parameter in norm.parameters())]


def _filled(size: tuple[int, ...], multiple: int) -> tuple[int, int]:
    height, width = (-(-length // multiple) * multiple for length in size)
    return max(height, SMALLEST), max(width, SMALLEST)


def _fit(name: str, settings: dict[str, Any], size: tuple[int, int]) -> tuple[Any, int, dict[str, Any]]:
    """Build the model so that it takes spectrograms of a size, and any other where it can.

    Returns
    -------
    model : nn.Module
        With random weights.
    multiple : int
        What heights and widths are filled up to a multiple of.
    for_size : dict
        The settings that this took.
    """
    timm, before, reason = _import_timm(), torch.get_rng_state(), ""
    whole = _filled(size, MULTIPLE)
    ways: tuple[tuple[int, dict[str, Any]], ...] = (
        (1, {"img_size": _filled(size, 1), "dynamic_img_size": True, "dynamic_img_pad": True}),
        (1, {}),
        (MULTIPLE, {"img_size": whole, "dynamic_img_size": True}),
        (MULTIPLE, {"img_size": whole}),
        (MULTIPLE, {}),
    )
    for multiple, for_size in ways:
        torch.set_rng_state(before)
        try:
            model = timm.create_model(name.removeprefix(PREFIX), **settings, **for_size)
            with torch.no_grad():
                model.eval()(torch.zeros(1, settings["in_chans"], *_filled(size, multiple)))
        except Exception as error:  # noqa: BLE001 - models raise whatever they like at sizes that are not theirs
            reason = _reason(error)
        else:
            return model.train(), multiple, for_size
    raise InputError(
        f"backbone.name={name} cannot be built for spectrograms of {size[0]} x {size[1]} ({reason}); take another model"
    )


def _source(weights: str | None) -> dict[str, Any]:
    """What makes timm read safetensors, never pickles."""
    overlay: dict[str, Any] = {"hf_hub_filename": "model.safetensors", "url": "", "custom_load": False}
    if weights is None:
        return {"pretrained": True, "pretrained_cfg_overlay": overlay}
    if not Path(weights).is_file():
        raise InputError(f"backbone.timm.weights={weights} not found; give the path of a .safetensors file")
    return {"pretrained": True, "pretrained_cfg_overlay": overlay | {"file": weights, "hf_hub_id": None}}


def _load(name: str, settings: dict[str, Any]) -> Any:
    timm = _import_timm()
    try:
        return timm.create_model(name.removeprefix(PREFIX), **settings)
    except Exception as error:  # noqa: BLE001 - timm, its hub and safetensors raise whatever they like
        raise InputError(
            f"backbone.name={name} cannot begin with these weights ({_reason(error)}); see backbone.timm"
        ) from None


def _reason(error: Exception) -> str:
    return one_line(error) or type(error).__name__
