"""Recordings: generations that were made elsewhere, read from files of many shapes and kept in a bank."""
