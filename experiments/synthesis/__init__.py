"""Synthetic data: prompts and a pool of teachers in, rows with every candidate,
the best of them and a fused answer out.
"""
