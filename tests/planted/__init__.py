"""Bugs and faults that tests put where they must be noticed."""
