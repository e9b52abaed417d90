"""A program as plain data in a file: how it is built, and the state that is read back as a closed set."""
