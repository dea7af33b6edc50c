"""What all commands share: flags, progress, signals, compiled programs, faults explained."""
