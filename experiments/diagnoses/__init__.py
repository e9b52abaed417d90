"""Diagnoses: what a pool of candidates could gain, before money is spent on one."""
