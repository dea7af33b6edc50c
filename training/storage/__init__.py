"""What a run keeps on disk: who may write it, and how it comes back after a kill."""
