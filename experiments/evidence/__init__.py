"""Evidence: what stands behind a verdict, worked out from the records of a run.

One question a file; ``gather`` asks them all.
"""

from __future__ import annotations

from .gathered import Evidence, evidence_tables, gather

__all__ = ["Evidence", "evidence_tables", "gather"]
