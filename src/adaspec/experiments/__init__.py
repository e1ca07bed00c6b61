"""Experiments as a user runs and compares them: recipes, ablation, comparison, tuning, over git and DVC."""
