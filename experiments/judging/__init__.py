"""Judging: win rates that length cannot buy, grades that are asked for once, and how far a judge can be trusted.

One question a file.
"""
