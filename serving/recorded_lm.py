"""A language model that only has a name: what it would answer was recorded, and a bank knows it.

Asking it is an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NoReturn

import dspy
from dspy.lm15 import Request

from dspy_fusion.programs.errors import ConfigurationError

PREFIX = "recorded/"
"""What the names of recorded models begin with."""


def unasked_lm(name: str, *, digest: str) -> dspy.LM:
    """A model of that name.

    Args:
        name: with ``PREFIX``.
        digest: of what was recorded, which tells it from another model of the same name in a bank's keys and in a run's
            folder.
    """
    return dspy.LM(
        name, engine=_Unasked(), async_engine=_AsyncUnasked(), cache=False, num_retries=0, metadata={"recorded": digest}
    )


class _Unasked:
    def complete(self, request: Request) -> NoReturn:
        raise ConfigurationError(
            f"{request.model} cannot be asked: it stands for recorded answers; give the program the bank they are in"
        )

    def stream(self, request: Request) -> Iterator[Any]:
        self.complete(request)
        yield

    def close(self) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> _Unasked:
        return self


class _AsyncUnasked:
    async def complete(self, request: Request) -> NoReturn:
        _Unasked().complete(request)

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        _Unasked().complete(request)
        yield

    async def aclose(self) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> _AsyncUnasked:
        return self
