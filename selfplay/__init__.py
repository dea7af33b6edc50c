"""Players, self-play, matches and records: all that plays games, and nothing that learns."""
