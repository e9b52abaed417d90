"""Examples of a user's own, from wherever they are: DSPy examples, rows, a frame, a data set, a file, the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs

from ..rows.row_files import SUFFIXES, Row, read_file
from ..rows.row_limits import limited_rows

HUB = "hf:"
_HUB_NAME = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)@(?P<revision>[\w./-]+)(?::(?P<split>\w+))?")
_MOST = 100_000  # rows of a data set that are read


def is_own_data(data: str) -> bool:
    """Whether ``data`` of a configuration names rows, a file or a data set on the hub, and not a folder."""
    return data.startswith(HUB) or data.endswith(SUFFIXES)


def own_examples(data: Any, *, inputs: Sequence[str] = (), output: str = "") -> tuple[dspy.Example, ...]:
    """Examples that say what their inputs are, each with a field ``id``: its own, or its place from 0.

    Args:
        data: DSPy examples; mappings; a pandas frame; a ``datasets.Dataset``; the path of a file in one of the formats
            of ``row_files.SUFFIXES``; or ``hf:owner/name@revision``, with ``:split`` after it where it is not ``test``.
        inputs: the fields that the programs get. Without them, DSPy examples say it themselves, and rows leave out
            ``output`` and ``id``.
        output: the field that holds the right answer.

    Raises:
        ConfigurationError: there are no rows, a column is missing, nothing says what the inputs are, or two rows have
            the same id.
    """
    made, places = [], dict[str, str]()
    for number, row in enumerate(_rows(data)):
        example = _example(row, tuple(inputs), output)
        name = str(example.get("id", number))
        if name in places:
            raise ConfigurationError(f"two examples have the id {name!r}: {places[name]}, and {row.where}; remove one")
        places[name] = row.where
        made.append(example if "id" in example else example.copy(id=name))
    if not made:
        where = f"{data} has" if isinstance(data, str | Path) else "there are"
        raise ConfigurationError(f"{where} no examples; give at least one")
    return tuple(made)


def _example(row: Row, inputs: tuple[str, ...], output: str) -> dspy.Example:
    for name in (*inputs, *([output] if output else [])):
        row.get(name)
    given = row.values if isinstance(row.values, dspy.Example) else None
    if not inputs and given is not None:
        if not getattr(given, "_input_keys", None):
            raise ConfigurationError(
                f"{row.where} does not say which of its fields are inputs; call .with_inputs(...) on the examples, or"
                f" give inputs=[...] of: {', '.join(map(str, given.keys()))}"
            )
        return given
    if not inputs and not output:
        raise ConfigurationError(
            f"{row.where}: nothing says which columns are inputs; give inputs, or output, of: {', '.join(row.values)}"
        )
    keys = inputs or tuple(name for name in row.values if name not in (output, "id"))
    return dspy.Example(**dict(row.values.items())).with_inputs(*keys)


def _rows(data: Any) -> Iterator[Row]:
    if isinstance(data, str | Path):
        return _hub_rows(str(data)) if str(data).startswith(HUB) else read_file(Path(data).expanduser())
    if hasattr(data, "to_dict") and hasattr(data, "columns"):
        return _numbered(data.to_dict("records"), "row {} of the frame")
    if not isinstance(data, Iterable) or isinstance(data, Mapping):
        raise ConfigurationError(
            "examples must be DSPy examples, rows, a frame, a data set (one split of it) or a path, but got a"
            f" {type(data).__name__}"
        )
    return _numbered(data, "example {}")


def _numbered(values: Iterable[Any], where: str) -> Iterator[Row]:
    for number, row in enumerate(values):
        if not isinstance(row, Mapping | dspy.Example):
            raise ConfigurationError(
                f"{where.format(number)} must be a dspy.Example or a mapping, but got a {type(row).__name__}"
            )
        yield Row(cast("Any", row), where.format(number))


def _hub_rows(text: str) -> Iterator[Row]:
    match = _HUB_NAME.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"data {text!r} must be hf:owner/name@revision or hf:owner/name@revision:split; a revision is needed, so"
            " that the rows stay the same"
        )
    with needs("reading a data set of the hub", "tasks"):
        from datasets import load_dataset
    name, revision, split = match["name"], match["revision"], match["split"] or "test"
    try:
        rows = list(islice(limited_rows(cast("Any", load_dataset(name, split=split, revision=revision)), text), _MOST))
    except ConfigurationError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise ConfigurationError(f"the rows of {text} cannot be had: {type(error).__name__}: {reason}") from error
    return _numbered(rows, f"{name}, {split}, row {{}}")
