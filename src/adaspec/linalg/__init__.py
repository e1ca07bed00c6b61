"""Linear algebra: QR by modified Gram-Schmidt, with gradients. Needs torch alone."""

from adaspec.linalg.qr import METHODS, modified_gram_schmidt, orthonormalize

__all__ = ["METHODS", "modified_gram_schmidt", "orthonormalize"]
