"""The file that says what a run is: written whole, read back, and compared before anything goes on in its folder."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError, RecordError
from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.redaction import without_secrets_in

_PACKAGES = ("dspy-fusion", "dspy", "numpy", "scipy")
_NAMED = 6  # differences in a message


@contextmanager
def opening(path: Path, *subfolders: Path) -> Iterator[None]:
    """Makes a run's folder; what cannot be made or written ends the block with a ``ConfigurationError`` of one line."""
    try:
        for folder in (path, *subfolders):
            folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to the folder {path}: {error.strerror}; choose another with --out"
        ) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Has a full disk or a folder that may not be written end the block with a ``RecordError`` of one line."""
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror or error}; what was completed before is safe, and the same command goes on with it"
        raise RecordError(f"cannot write to the folder {path}: {reason}") from error


def write_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file without secrets, beside its place first, so that a kill never leaves half of one.

    Two that write it at once, such as workers of a study, each write their own, and the later one stays.
    """
    partial = path.with_suffix(f".{uuid.uuid4().hex[:8]}.partial")
    partial.write_text(json.dumps(without_secrets_in(content), indent=1, ensure_ascii=False), encoding="utf-8")
    partial.replace(path)


def write_first(path: Path, content: Mapping[str, Any]) -> None:
    """Writes the file of a run that begins: what it is, when it began, and the versions that its numbers depend on."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    write_whole(path, {**content, "started": started, "environment": _environment()})


def read_about(path: Path, keys: Sequence[str], kind: str = "run") -> dict[str, Any]:
    """What a run's file says.

    Args:
        path: the file.
        keys: what it must say.
        kind: what the run is called in messages.

    Raises:
        RecordError: there is no such file, or it is of something else.
    """
    try:
        about = read_json(path.read_text(encoding="utf-8"))
        if not set(keys) <= about.keys():
            raise ValueError("it lacks the configuration")
        return about
    except OSError as error:
        raise RecordError(f"{path.parent} holds no {kind}: {path.name}: {error.strerror}") from error
    except (ValueError, AttributeError) as error:
        raise RecordError(f"{path} cannot be read: {error}") from error


def refuse_other(folder: Path, changes: Sequence[str], kind: str = "run") -> None:
    """Raises ``RecordError`` for a folder whose run differs from the one that is to go on in it; names the changes."""
    listed = "; ".join(changes[:_NAMED]) + ("; ..." if len(changes) > _NAMED else "")
    raise RecordError(
        f"{folder} holds another {kind} ({listed}); choose another folder with --out, or go back to its configuration"
    )


def _environment() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    versions = {"python": platform.python_version(), "platform": platform.platform(), "cpus": str(os.cpu_count())}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
