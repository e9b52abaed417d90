"""Pools: what a candidate is, and the rules by which one is chosen, without any model."""
