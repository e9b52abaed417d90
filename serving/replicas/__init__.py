"""Replicas: one model over several servers, and the candidates of a question in one request."""
