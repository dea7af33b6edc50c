"""Where an overseer is wanted, and its decisions as rows to learn from."""
