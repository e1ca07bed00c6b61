"""Image backbones of timm on spectrograms."""

from __future__ import annotations

import difflib
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from adaspec.backbones.filling import fill
from adaspec.errors import InputError

__all__ = ["TimmModel", "check_timm_name"]

PREFIX = "timm:"
SMALLEST = (64, 64)  # spectrogram: most models halve the resolution five times


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
    if not timm.is_model(model.split(".")[0]):
        close = difflib.get_close_matches(model, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see timm.list_models()"
        raise InputError(f"backbone.name={name}: timm {timm.__version__} has no model {model!r}; {hint}")


class TimmModel(nn.Module):
    """A timm model with its first convolution for the front end's channels and its head for the classes.

    Parameters
    ----------
    n_channels : int
        Transforms of the front end.
    n_features, n_frames : int
        Height and width of the spectrograms that are trained on. Convolutional models take any width; of the others,
        those that timm makes for a variable size do.
    n_classes : int
    dropout : float
        timm's `drop_rate`, 0 <= p < 1.
    name : str
        Such as "timm:resnet18".
    pretrained : bool
        Begin with timm's weights for the model, or with those of `weights`.
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
        timm is missing or does not know the model, or the weights cannot be had or do not fit.

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
        self.normalize = nn.BatchNorm2d(n_channels)  # brings log power to unit scale; fixed statistics once trained
        settings: dict[str, Any] = {"in_chans": n_channels, "num_classes": n_classes, "drop_rate": dropout}
        if pretrained:
            settings |= _source(name, weights)
        self.model = _create(name, settings, (n_features, n_frames))
        self.frozen: list[nn.Module] = []
        if freeze:
            self._freeze()

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.model(fill(self.normalize(spectrogram), SMALLEST))

    def train(self, mode: bool = True) -> TimmModel:
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def _freeze(self) -> None:
        first: Any = self.model.default_cfg["first_conv"]
        firsts = {first} if isinstance(first, str) else set(first)
        trained = [self.model.get_classifier(), *(self.model.get_submodule(name) for name in sorted(firsts))]
        self.model.requires_grad_(False)
        for module in trained:
            module.requires_grad_(True)
        norms = (nn.modules.batchnorm._BatchNorm,)
        self.frozen = [module for module in self.model.modules() if isinstance(module, norms)]


def _source(name: str, weights: str | None) -> dict[str, Any]:
    if weights is None:
        return {"pretrained": True}
    if not Path(weights).is_file():
        raise InputError(f"backbone.timm.weights={weights} not found; give the path of a .safetensors file")
    return {"pretrained": True, "pretrained_cfg_overlay": {"file": weights, "hf_hub_id": None, "url": ""}}


def _create(name: str, settings: dict[str, Any], size: tuple[int, int]) -> Any:
    """Build the model, of the spectrogram's size where it needs to know that."""
    timm, model = _import_timm(), name.removeprefix(PREFIX)
    try:
        try:
            return timm.create_model(model, **settings, img_size=size, dynamic_img_size=True, dynamic_img_pad=True)
        except TypeError:  # not a model of patches
            return timm.create_model(model, **settings)
    except Exception as error:  # noqa: BLE001 - timm, its hub and safetensors raise whatever they like
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"backbone.name={name} cannot be built ({reason}); see backbone.timm") from None
