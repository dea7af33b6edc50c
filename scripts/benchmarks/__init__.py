"""Measurements of `selfplay bench`."""
