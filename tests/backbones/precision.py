"""How to find convolutions that read memory which is not theirs (bf16 on the CPU, torch 2.14)."""

import torch


def check_bf16(backbone: torch.nn.Module, n_frames: int) -> None:
    """Logits and gradients of narrow spectrograms are finite."""
    backbone.to(memory_format=torch.channels_last)
    for seed in range(3):
        torch.manual_seed(seed)
        spectrogram = torch.randn(16, 1, 16, n_frames)
        freed = [torch.full((2**size,), float("nan")) for size in range(8, 22)]
        del freed  # what reads memory that is not its own may now find NaN
        with torch.autocast("cpu", torch.bfloat16):
            logits = backbone(spectrogram)
        logits.float().sum().backward()
        assert logits.isfinite().all()
        assert all(parameter.grad.isfinite().all() for parameter in backbone.parameters())
