"""Trials of detectors of spoofed speech and of speaker verification: their scores, per attack, as text and as JSON."""
