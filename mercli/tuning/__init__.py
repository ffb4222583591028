"""Encoders fine-tuned with the Hugging Face ``Trainer``: examples, networks, batches, the trainer."""
