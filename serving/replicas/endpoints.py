"""One address where a model answers: its calls under way, its failures, and the pause after each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from .places import Places

_REST_SECONDS, _LONGEST_REST_SECONDS = 5.0, 60.0
_DOWN = 3  # failures in a row

_endpoints: dict[str, Endpoint] = {}
_lock = threading.Lock()


class Endpoint:
    """An address, or the name of a model at its provider's own address. Made by :func:`endpoint_at`.

    Attributes:
        name: the address or the model.
        address: the address, or an empty string.
        places: its calls now, and those that wait.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = name if "://" in name else ""
        self.places = Places()
        self._failures, self._rests_until = 0, 0.0

    @property
    def load(self) -> int:
        """Calls that it works on or that wait for it."""
        return self.places.taken + self.places.waiting

    @property
    def is_resting(self) -> bool:
        """Whether it failed lately and is asked only when there is no other."""
        return time.monotonic() < self._rests_until

    @property
    def is_down(self) -> bool:
        """Whether it is resting after several failures in a row."""
        return self._failures >= _DOWN and self.is_resting

    def failed(self, retry_after: float | None) -> None:
        """Lets it rest: five seconds, doubled for each further failure up to a minute,
        or as long as it asked for if that is longer.
        """
        self._failures += 1
        rest = min(_REST_SECONDS * 2 ** (self._failures - 1), _LONGEST_REST_SECONDS)
        self._rests_until = time.monotonic() + max(rest, min(retry_after or 0.0, _LONGEST_REST_SECONDS))

    def answered(self) -> None:
        """Ends its rest."""
        self._failures, self._rests_until = 0, 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> Endpoint:
        return self

    def __reduce__(self) -> tuple[Callable[..., Endpoint], tuple[str, int | None]]:
        return endpoint_at, (self.name, self.places.limit)


def endpoint_at(name: str, max_concurrency: int | None = None) -> Endpoint:
    """The endpoint of an address; of several limits given for it, the lowest holds."""
    with _lock:
        endpoint = _endpoints.setdefault(name, Endpoint(name))
        limits = [limit for limit in (endpoint.places.limit, max_concurrency) if limit is not None]
        endpoint.places.limit = min(limits, default=None)
        return endpoint
