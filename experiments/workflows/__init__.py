"""Workflows: a whole comparison, tuning or fine-tuning, from its configuration to its report."""
