"""Scores: named components that add up over clips, and values computed from their sums."""
