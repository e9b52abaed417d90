"""Runs: the folder of a run, what is measured in it, its progress and its tracking."""
