"""Packing a growing recording into what is kept in the repository, with where it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import RecordError
from dspy_fusion.serving.local.known_models import KNOWN_MODELS
from dspy_fusion.serving.recording_file import RequestRecording

from .grid import grid_covered
from .plan import MBPP, STUDIES, Study
from .recording import task_of
from .replaying import ABOUT, RECORDINGS, covered

_MOST = 200  # questions


def export(folder: Path, target: Path = RECORDINGS) -> dict[str, Any]:
    """Packs what a folder holds; returns what is said of it.

    Raises:
        RecordError: nothing of it is complete.
    """
    target.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {}
    for name, study in STUDIES.items():
        if not (folder / f"{name}.jsonl").is_file():
            continue
        recording = RequestRecording(folder / f"{name}.jsonl")
        counts = {key: _covered(study, folder, deep=deep) for key, deep in (("wide", False), ("deep", True))}
        if counts["wide"]:
            told[name] = _about(study, recording, counts)
            if study is MBPP:
                told[name]["questions_with_every_instruction"] = grid_covered(recording, _MOST)
            recording.export(target / f"{name}.jsonl.gz")
    if not told:
        raise RecordError(f"{folder} holds no study of which one question is complete; record on")
    (target / ABOUT).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return told


def _covered(study: Study, folder: Path, *, deep: bool) -> int:
    names = [name for name in (study.name, study.beside) if name]
    recordings = {name: RequestRecording(folder / f"{name}.jsonl") for name in names}
    return min(covered(STUDIES[name], recording, _MOST, deep=deep) for name, recording in recordings.items())


def _about(study: Study, recording: RequestRecording, counts: dict[str, int]) -> dict[str, Any]:
    known, source = KNOWN_MODELS[study.model], task_of(study).source
    return {
        "model": known.reference,
        "sha256": known.sha256,
        "model_licence": known.licence,
        "task": study.task,
        "task_source": source.url,
        "task_licence": source.licence,
        "questions": counts["wide"],
        "questions_with_every_arm": 0 if study.pool_only else counts["deep"],
        "requests": len(recording),
        "engine": "llama.cpp by xllamacpp, one or two threads, up to 16 answers at once",
    }
