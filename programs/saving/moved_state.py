"""The state of a program whose folder was moved since it was saved: what it says of trained models in that folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_PLACES = ("", "embedded/", "checkpoint/")
"""What stands before a path in the names of models."""


def moved_with(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A program's state whose trained models are looked for in ``folder``, where the state itself lies, if the folder
    that they were saved in is gone and they are here: a run's folder may be moved or copied as a whole.

    The weights' digests are still those of the state.
    """
    here = folder.resolve()
    parts = [part for name, part in state.items() if name.rpartition(".")[2] == "trained" and isinstance(part, dict)]
    for model in (part.get("model") for part in parts):
        path = Path(str(model.get("path") or "")) if isinstance(model, dict) else Path()
        if path.is_absolute() and not path.exists() and (here / path.name).is_dir():
            state = _moved(state, str(path.parent), str(here))
    return state


def _moved(value: Any, before: str, now: str) -> Any:
    """Plain data with what lies in one folder, as a path or as the name of a model there, named in another."""
    if isinstance(value, dict):
        return {name: _moved(part, before, now) for name, part in value.items()}
    if isinstance(value, list):
        return [_moved(part, before, now) for part in value]
    if not isinstance(value, str):
        return value
    for kind in _PLACES:
        if value.startswith(f"{kind}{before}/"):
            return kind + now + value.removeprefix(kind + before)
    return value
