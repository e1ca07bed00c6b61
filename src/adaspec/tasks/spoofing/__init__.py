"""Telling bona fide from spoofed speech."""
