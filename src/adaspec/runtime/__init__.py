"""What everything runs on: processes, files, locks, seeds, progress and messages; nothing here knows of audio."""
