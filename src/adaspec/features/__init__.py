"""The Arrow feature store, and extraction into it."""

from adaspec.features.extract import extract
from adaspec.features.store import FeatureStore, feature_contract

__all__ = ["FeatureStore", "extract", "feature_contract"]
