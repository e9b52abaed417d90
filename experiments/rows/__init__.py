"""Rows: where a task's data come from, and the files they are read from."""
