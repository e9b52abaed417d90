"""A user's own examples and metric, made into a task."""
