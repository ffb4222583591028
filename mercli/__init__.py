"""Multimodal emotion recognition on the command line."""

__version__ = "0.1.0"
