"""Trained models under changed recordings: which attribute breaks them, how far, and what gradients could do."""

from adaspec.robustness.survey import Survey, survey

__all__ = ["Survey", "survey"]
