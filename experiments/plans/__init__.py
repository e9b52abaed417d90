"""Plans: from a configuration to strategies, and from a strategy to a program."""
