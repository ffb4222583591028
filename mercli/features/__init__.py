"""Streams become features, and features are stored."""
