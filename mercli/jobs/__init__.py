"""What each command computes: one file per command, what several share in the folder of its name."""
