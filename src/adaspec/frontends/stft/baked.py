"""The adaptive STFT as a plain convolution, once learning is over."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from adaspec.frontends.stft.framing import Framing, pad_ends
from adaspec.frontends.stft.portions import magnitude_or_power
from adaspec.frontends.waveform import check_waveform

__all__ = ["BakedSTFT", "refuse_onnx_export"]


class BakedSTFT(nn.Module):
    """Spectrogram by one `torch.nn.Conv1d` with fixed weights; made by `AdaptiveSTFT.bake`.

    Parameters
    ----------
    filters : Tensor of shape (n_transforms * n_groups, n_freqs, n_fft), complex
    n_transforms : int
    mel : Tensor of shape (n_transforms, n_freqs, n_mels) or None
    framing : Framing
    compression : Module
        Copied.

    Attributes
    ----------
    conv : Conv1d
        Real, then imaginary parts of the filters, transform by transform and group by group of bands.

    Shapes
    ------
    (batch, n_samples) -> (batch, n_transforms, n_features, n_frames), as the layer it was made of.
    """

    mel: Tensor | None

    def __init__(
        self,
        filters: Tensor,
        n_transforms: int,
        mel: Tensor | None,
        framing: Framing,
        compression: nn.Module,
    ) -> None:
        super().__init__()
        self.framing, self.compression = framing, copy.deepcopy(compression).requires_grad_(False)
        n_filters, n_freqs, n_fft = filters.shape
        weight = torch.stack([filters.real, filters.imag], 1).reshape(-1, 1, n_fft)
        # On "meta" no random numbers are drawn for weights that are then replaced.
        self.conv = nn.Conv1d(1, len(weight), n_fft, stride=framing.hop_length, bias=False, device="meta")
        self.conv.weight = nn.Parameter(weight, requires_grad=False)
        self.shape = n_transforms, n_filters // n_transforms, 2, n_freqs
        self.register_buffer("mel", None if mel is None else mel.to(weight.dtype))
        self.eval()  # exporters warn of modules in training mode

    def forward(self, waveform: Tensor) -> Tensor:
        with torch.autocast(waveform.device.type, enabled=False):  # bf16 and fp16 hold too few bits
            check_waveform(waveform)
            waveform = pad_ends(waveform.to(self.conv.weight.dtype), self.framing)
            spectrum = self.conv(waveform.unsqueeze(1)).unflatten(1, self.shape)
            real, imag = spectrum.transpose(-1, -2).unbind(3)  # (batch, n_transforms, n_groups, n_frames, n_freqs)
            bins = magnitude_or_power(real, imag, self.framing.magnitude)
            bands = bins[:, :, 0] if self.mel is None else self._in_bands(bins, self.mel)
            return self.compression(bands.transpose(2, 3))

    def _in_bands(self, bins: Tensor, mel: Tensor) -> Tensor:
        groups = mel.tensor_split(bins.shape[2], -1)
        return torch.cat([bins[:, :, position] @ group for position, group in enumerate(groups)], -1)


def refuse_onnx_export(setting: str, used: bool) -> None:
    """Raise if a setting that ONNX cannot hold is used while the layer is being exported.

    ONNX has no operator for QR, and onnxruntime no bfloat16 product on the CPU.

    Raises
    ------
    ValueError
        torch.onnx.export or torch.export.export(strict=True) is running.
    """
    # Where the first attempt fails torch.onnx.export makes a second one, a strict export that does not say what for.
    strict = torch.compiler.is_dynamo_compiling() and torch.compiler.is_exporting()
    if used and (strict or torch.onnx.is_in_onnx_export()):
        raise ValueError(
            f"{setting} cannot be exported to ONNX, nor by torch.export with strict=True; "
            "export layer.bake() in the layer's place"
        )
