"""Files that survive a kill, and how to read those of strangers."""
