"""Predictions become numbers, pictures and files."""
