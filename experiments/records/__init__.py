"""Records: one JSON line per (task, example, strategy, seed), and what waits to be tracked."""
