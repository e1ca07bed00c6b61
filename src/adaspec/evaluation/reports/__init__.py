"""What is reported of each task."""
