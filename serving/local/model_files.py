"""Where a model's file is: a path, a file on the Hugging Face hub, or a known model by name; checked by hash."""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from pathlib import Path

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs

from .known_models import KNOWN_MODELS, KnownModel

FOLDER_VARIABLE = "DSPY_FUSION_MODELS"
_HUB_FILE = re.compile(r"hf:(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?:(?P<file>[\w./-]+\.gguf)")


def model_file(reference: str | Path, sha256: str = "") -> Path:
    """The file of a model on this machine; one on the hub is downloaded first, with a bar, and resumed.

    Args:
        reference: the path of a GGUF file, ``hf:owner/name:file.gguf`` or ``hf:owner/name@revision:file.gguf``, or the
            name of a known model. A file of the same name in the folder ``$DSPY_FUSION_MODELS`` goes before the hub.
        sha256: what the file must have; a known model's own where it is empty. None is checked where neither is known.

    Raises:
        ConfigurationError: there is no such file or model, the hub cannot be reached, or the hash is another.
    """
    known = KNOWN_MODELS.get(str(reference)) or _known_by_reference(str(reference))
    text = known.reference if known is not None else str(reference)
    path = _downloaded(text) if text.startswith("hf:") else Path(text).expanduser()
    if not path.is_file():
        names = ", ".join(KNOWN_MODELS)
        raise ConfigurationError(
            f"there is no model {str(reference)!r}; give the path of a GGUF file, hf:owner/name:file.gguf,"
            f" or one of {names}"
        )
    wanted = sha256.lower() or (known.sha256 if known is not None else "")
    if wanted and (digest := digest_of(path)) != wanted:
        raise ConfigurationError(
            f"{path} has the SHA-256 {digest}, but {wanted} was expected; delete it and download it again"
        )
    return path.resolve()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, worked out once in a process for as long as the file stays as it is."""
    state = path.stat()
    return _digest(path.resolve(), state.st_size, state.st_mtime_ns)


@cache
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _known_by_reference(text: str) -> KnownModel | None:
    return next((model for model in KNOWN_MODELS.values() if model.reference == text), None)


def _downloaded(reference: str) -> Path:
    match = _HUB_FILE.fullmatch(reference)
    if match is None:
        raise ConfigurationError(f"{reference!r} is no file on the hub; write hf:owner/name:file.gguf")
    local = Path(os.environ.get(FOLDER_VARIABLE, ""), Path(match["file"]).name)
    if os.environ.get(FOLDER_VARIABLE) and local.is_file():
        return local
    with needs("downloading a model", "local"):
        from huggingface_hub import hf_hub_download
    try:
        return Path(hf_hub_download(match["repository"], match["file"], revision=match["revision"]))
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise ConfigurationError(
            f"cannot download {reference}: {type(error).__name__}: {text}; where there is no network, put the file"
            f" into a folder and name that in {FOLDER_VARIABLE}"
        ) from error
