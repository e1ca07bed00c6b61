"""Modules whose constants follow from their settings, and so are not saved."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["WithConstants"]


class WithConstants(nn.Module):
    """A module with buffers that its settings decide: not saved, and computed anew whenever weights are loaded.

    So a module that was built on, or moved to, the device "meta" is complete once its weights are loaded, whether it
    was materialised by `to_empty` before or gets its tensors from the state dictionary (`assign=True`).
    """

    def constants(self) -> dict[str, Tensor]:
        """Buffer, by its name -> value."""
        raise NotImplementedError

    def register_constants(self) -> None:
        """Register the buffers, once everything that they follow from is set."""
        for name, value in self.constants().items():
            self.register_buffer(name, value, persistent=False)

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        device = next(self.parameters()).device
        with torch.device("meta" if device.type == "meta" else "cpu"):
            computed = self.constants()
        for name, value in computed.items():
            setattr(self, name, value.to(device, getattr(self, name).dtype))
