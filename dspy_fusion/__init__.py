"""DSPy programs that make one answer from many candidates."""
