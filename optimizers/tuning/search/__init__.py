"""How the tuner searches: one thing at a time from what is known, then all together."""
