"""The Arrow feature store, and extraction into it."""

# `extract` is left to its module: it imports pandas, on which every prediction would spend a third of a second.
from adaspec.features.store import FeatureStore, feature_contract

__all__ = ["FeatureStore", "feature_contract"]
