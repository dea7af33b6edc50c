"""The terminal of all commands: flags, progress, signals, compiled programs, faults explained."""
