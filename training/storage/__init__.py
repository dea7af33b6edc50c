"""The files of a run: who may write them, and how they come back after a kill."""
