"""How to find convolutions that read memory which is not theirs (bf16 on the CPU, torch 2.14)."""

import torch

# Elsewhere, as on processors with AVX2 alone, PyTorch's own convolutions take their place: right, but slower by far.
ONEDNN = torch.ops.mkldnn._is_mkldnn_bf16_supported()
N_TRIES, BATCH = (3, 16) if ONEDNN else (1, 4)


def check_bf16(backbone: torch.nn.Module, n_frames: int) -> None:
    """Logits and gradients of narrow spectrograms are finite."""
    backbone.to(memory_format=torch.channels_last)
    for seed in range(N_TRIES):
        torch.manual_seed(seed)
        spectrogram = torch.randn(BATCH, 1, 16, n_frames)
        freed = [torch.full((2**size,), float("nan")) for size in range(8, 22)]
        del freed  # what reads memory that is not its own may now find NaN
        with torch.autocast("cpu", torch.bfloat16):
            logits = backbone(spectrogram)
        logits.float().sum().backward()
        assert logits.isfinite().all()
        assert all(parameter.grad.isfinite().all() for parameter in backbone.parameters())
