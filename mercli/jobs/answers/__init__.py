"""Answers: a bundle's probabilities become decisions, files for other tools, and pictures on the clip."""
