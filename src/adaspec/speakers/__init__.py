"""Who speaks: vectors that tell speakers apart, and speaker verification by them."""
