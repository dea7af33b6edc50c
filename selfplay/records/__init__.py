"""Game records: finished games as JSON lines, SGF or PGN."""
