"""Experiments: what measures the programs.

The command is ``dspy-fusion``; as a library, begin at ``compare.prepare``.
"""
