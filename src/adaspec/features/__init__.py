"""What is kept of clips: their representation, the Arrow store, extraction into it, windows out of it."""
