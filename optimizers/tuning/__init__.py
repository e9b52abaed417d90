"""Tuning: a program's instructions and numbers in one study."""
