"""Encoders of published systems, computed as their authors' code does."""
