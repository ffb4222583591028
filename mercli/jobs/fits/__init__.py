"""Fits: stored features joined with labels, and one head trained on them, watched, resumed and compared."""
