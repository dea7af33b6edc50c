"""Sweeps: variants of a run, each from several seeds, at equal compute and measured alike."""
