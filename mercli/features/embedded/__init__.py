"""Encoders whose trained weights ship inside the package."""

from mercli.features.embedded import audio, face, text

__all__ = ["audio", "face", "text"]
