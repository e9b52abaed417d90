"""Presentation: what tables, figures and text for people are made of."""
