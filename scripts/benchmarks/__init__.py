"""Measurements of `selfplay bench` beside the search."""
