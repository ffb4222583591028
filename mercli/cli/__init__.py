"""What each command parses and prints; nothing here computes."""
