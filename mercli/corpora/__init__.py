"""Raw corpora become manifests: readers, splits, tables."""
