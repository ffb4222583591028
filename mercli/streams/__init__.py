"""A clip becomes aligned streams: audio, face crops, words."""
