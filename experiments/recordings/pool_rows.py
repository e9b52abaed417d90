"""Rows to import, one after another.

Of a local file, of a data set on the Hugging Face hub by its name, or of a local copy of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs

from ..rows.row_files import SUFFIXES, Row, read_file
from ..rows.row_limits import limited_rows

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def rows_of(file: str, *, split: str = "train", config: str | None = None) -> Iterator[Row]:
    """The rows of a file.

    Of a folder that is a copy of a data set; or else of the data set of that name, like ``owner/name``, on the hub.

    Raises:
        ConfigurationError: there is neither, it cannot be read, or a line of it is broken.
    """
    path = Path(file)
    if path.is_dir() or (not path.is_file() and _is_hub_name(file)):
        return _data_set_rows(file, split, config)
    return read_file(path)


def _is_hub_name(file: str) -> bool:
    return _HUB_NAME.fullmatch(file) is not None and not file.endswith(SUFFIXES) and not file.startswith(".")


def _data_set_rows(name: str, split: str, config: str | None) -> Iterator[Row]:
    """Streamed, so that a large set need not be there whole.

    The hub's library fails in many ways, and all mean that there are no rows.
    """
    with needs(f"{name} is no file; reading it as a data set", "tasks"):
        from datasets import load_dataset
    try:
        rows = limited_rows(load_dataset(name, config, split=split, streaming=True), name)
        for number, values in enumerate(rows):
            yield Row(dict(values), f"{name}, {split}, row {number}")
    except ConfigurationError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        told = f"{name} is no file, and cannot be read as a data set of the hub ({why})"
        raise ConfigurationError(f"{told}; be online, or fetch its file elsewhere and give its path") from error
