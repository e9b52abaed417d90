"""A study of choosing and fusing on real small models; ``python -m benchmarks.real_models --help``."""
