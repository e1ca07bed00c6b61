"""Trained models: built, saved, loaded, scored, exported."""
