"""Queries to an overseer, and its decisions as rows to learn from."""
