"""What each command takes. Nothing here imports what does the work, so that help is quick."""
