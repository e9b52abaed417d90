"""Local models: a GGUF file is a model, run by llama.cpp on this machine."""

PREFIX = "local/"
"""Of their names in a catalogue."""
CONTEXT = 4096
"""Tokens that prompt and answer take together where nothing else is said."""
