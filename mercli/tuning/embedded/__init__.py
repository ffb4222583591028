"""The three encoders that ship inside: their corpora, recipes, augmentation and training from nothing."""
