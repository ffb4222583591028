"""Fusion heads, each a plugin; the network lies beside the file that registers it."""
