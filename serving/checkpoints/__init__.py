"""Hugging Face checkpoints of this machine as models: by transformers in this process, or by vLLM in one of its own."""

PREFIX = "checkpoint/"
"""Of their names in a catalogue."""
