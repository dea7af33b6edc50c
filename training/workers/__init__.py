"""Self-play on other processes and machines: weights in, finished games out."""
