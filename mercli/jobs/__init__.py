"""What each command computes; one file per command."""
