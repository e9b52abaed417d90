"""Scorers: everything that scores or chooses among candidates."""
