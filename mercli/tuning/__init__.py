"""Encoders trained or fine-tuned with the Hugging Face ``Trainer``."""
