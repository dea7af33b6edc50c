"""The flags of each command. Nothing here imports what does the work, so that help is quick."""
