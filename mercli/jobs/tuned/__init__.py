"""Encoders that are trained: their examples, their card, and the shipped three from their raw corpora."""
