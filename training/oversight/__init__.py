"""Queries to an overseer, and its decisions as examples to learn from."""
