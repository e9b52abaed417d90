"""The connections that calls of models make: ended with their attempt, and read so that a bill costs no answer."""
