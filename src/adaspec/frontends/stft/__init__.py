"""The adaptive STFT: starts as the short-time Fourier transform, and can learn window, kernels and mel bands."""
