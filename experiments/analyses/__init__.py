"""Analyses: what width, depth, proposals, training targets and compute do, each as table,
figure and records (arXiv 2501.11877).
"""
