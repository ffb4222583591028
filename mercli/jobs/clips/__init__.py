"""Clips: finding them, cutting them in one pass, and what is kept of them between commands."""
