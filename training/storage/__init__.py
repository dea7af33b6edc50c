"""A run's files: who may write them, and how a run comes back after a kill."""
