"""A run's measurements of itself, and its decisions from them."""
