"""Pools of recorded candidates as arrays: every way of choosing among them, measured without a model, and replayed."""
