"""A user's own examples and metric made into a task, and how a task is put to the models."""
