"""Training: one fold at a time, each reproducible on its own."""
