"""Evaluation: scores of the test clips, their spread and interval, figures."""
