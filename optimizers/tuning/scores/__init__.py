"""What a program under a study does on examples, what that takes, and where it is kept."""
