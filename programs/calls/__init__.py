"""Calls: one attempt, many of them side by side, and what they cost."""
