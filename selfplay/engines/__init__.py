"""What the protocols have in common: others' engines as processes, and our own thinking in time."""
