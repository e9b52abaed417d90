"""Banks: candidates kept on disk, and the databases that several processes share."""
