"""Features: pieces of clips through encoders into the store, and which models that needs."""
