"""Game records: finished games as JSON lines or SGF."""
