"""Features become predictions: heads, their training, bundles."""
