"""The folder of a fine-tuning: what we make carries a mark, and only what carries one is ever removed or written over.

A folder is taken when it is empty or marked. A mark that lists files speaks for those alone: what a user puts beside
them is refused by name before it could be lost.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError, RecordError
from dspy_fusion.programs.json_text import read_json

MARK = ".dspy-fusion.json"
RESULTS = ("model", "adapter", "checkpoints")
_NAMED = 3  # of the files that are in the way


def claim(folder: Path) -> None:
    """Takes a folder for a fine-tuning: makes it and marks it, or finds the mark there.

    Raises:
        ConfigurationError: as :func:`check_free` says.
        RecordError: it cannot be made.
    """
    check_free(folder)
    if not is_marked(folder):
        mark(folder)


def check_free(folder: Path, base: str = "") -> None:
    """Sees whether a folder can be taken, and touches nothing.

    Raises:
        ConfigurationError: it holds files that no fine-tuning wrote, which the message names; or the checkpoint that
            training begins with lies where the results are written.
    """
    _refuse_part_of_another(folder)
    if base and Path(base).is_dir():
        results = (folder, *(folder / name for name in RESULTS))
        if Path(base).resolve() in {path.resolve() for path in results}:
            raise ConfigurationError(
                f"the base {base} lies where the trained model would be written; choose another output folder"
            )
    if not is_marked(folder):
        _refuse(folder, _names(folder))
    for name in RESULTS:
        check_ours(folder / name)
    for checkpoint in (folder / "checkpoints").glob("checkpoint-*"):
        check_ours(checkpoint)


def _refuse_part_of_another(folder: Path) -> None:
    """Refuses what another training wrote into its folder as a folder to train in: its model or its checkpoints."""
    whole = folder.resolve()
    is_result = whole.name in RESULTS and is_marked(whole.parent)
    if is_result or "files" in (read_mark(folder) or {}):
        raise ConfigurationError(
            f"{folder} is part of the training in {whole.parent}; choose an output folder of its own"
        )


def mark(folder: Path, about: dict[str, Any] | None = None) -> None:
    """Makes a folder where there is none, and marks it as ours; ``about`` is kept in the mark."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f"{MARK}.partial"
        beside.write_text(json.dumps({"made_by": "dspy-fusion", **(about or {})}) + "\n", encoding="utf-8")
        beside.rename(folder / MARK)
    except OSError as error:
        reason = f"{error.strerror}; what was finished is safe, the same call goes on"
        raise RecordError(f"cannot write to {folder}: {reason}") from error


def mark_whole(folder: Path, about: dict[str, Any] | None = None) -> None:
    """Marks a folder that is finished: what is in it now is ours, and what comes later is not."""
    files = sorted(str(path.relative_to(folder)) for path in _files(folder))
    sizes = [(folder / name).stat().st_size for name in files]
    mark(folder, {"files": files, "sizes": sizes, **(about or {})})


def is_whole(folder: Path) -> bool:
    """Whether a folder was finished, and its files are as long as they were then."""
    said = read_mark(folder) or {}
    if "files" not in said:
        return False
    paths = [folder / name for name in said["files"]]
    if not all(path.is_file() for path in paths):
        return False
    return said.get("sizes") in (None, [path.stat().st_size for path in paths])


def read_mark(folder: Path) -> dict[str, Any] | None:
    """What a folder's mark says, or None where it has none."""
    try:
        said = read_json((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(said, dict) or said.get("made_by") != "dspy-fusion":
        return None
    files = said.get("files", [])
    return said if isinstance(files, list) and all(isinstance(name, str) for name in files) else None


def is_marked(folder: Path) -> bool:
    """Whether a fine-tuning made this folder."""
    return read_mark(folder) is not None


def check_ours(folder: Path) -> None:
    """Raises ``ConfigurationError`` where a folder, or a file in it, is not ours; names it."""
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise ConfigurationError(_in_the_way(folder.parent, [folder.name]))
    said = read_mark(folder)
    if said is None:
        _refuse(folder.parent, [f"{folder.name}/{name}" for name in _names(folder)])  # an empty one is in nobody's way
    elif "files" in said:
        known = set(said["files"])
        strangers = [path for path in _files(folder) if str(path.relative_to(folder)) not in known]
        _refuse(folder.parent, [str(path.relative_to(folder.parent)) for path in strangers])


def remove(folder: Path) -> None:
    """Removes a folder of ours where it is there; raises ``ConfigurationError`` where it is not ours."""
    if folder.exists() or folder.is_symlink():
        check_ours(folder)
        for path in sorted(folder.iterdir(), key=lambda path: path.name == MARK):  # the mark last: this may be killed
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        folder.rmdir()


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if not path.is_dir() and path.name not in (MARK, f"{MARK}.partial"))


def _names(folder: Path) -> list[str]:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ConfigurationError(f"{there} is a file; choose another output folder")
    ours = (MARK, f"{MARK}.partial", "lock")
    return sorted(path.name for path in folder.iterdir() if path.name not in ours) if folder.is_dir() else []


def _refuse(folder: Path, names: Sequence[str]) -> None:
    if names:
        raise ConfigurationError(_in_the_way(folder, names))


def _in_the_way(folder: Path, names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return (
        f"{folder} holds {shown}, which no fine-tuning of this library wrote; nothing was touched: choose an empty"
        " output folder, or move them away"
    )
