"""What a run measures of itself, and what it decides from that."""
