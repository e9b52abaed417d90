"""Readers: what an answer's text says, as a number, a letter or a name."""
