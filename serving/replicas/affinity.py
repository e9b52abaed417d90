"""Which replica gets which prompt.

Equal prompts meet the same one, which then has their beginning in its cache, and all get as much to do.

Rendezvous hashing (Thaler and Ravishankar 1998) gives every prompt its order of replicas, the same in all processes. As
in consistent hashing with bounded loads (arXiv 1608.01350) a replica that has had more than its share takes no new
prompt; unlike there, a prompt then stays where it went, and the share is of requests made, not of requests open, for
the candidates of one question come all at once.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from .endpoints import Endpoint, endpoint_at

_REMEMBERED = 10_000  # prompts
_RECENT = 2_000  # requests a replica, after which older ones count half


class Affinity:
    """Deals prompts out to endpoints. Threads may share it. Made by :func:`affinity_of`."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self._homes: OrderedDict[str, Endpoint] = OrderedDict()
        self._made = dict.fromkeys(self.endpoints, 0.0)
        self._prompts = 0.0
        self._lock = threading.Lock()

    def order(self, prompt: str) -> list[Endpoint]:
        """The endpoints to try for one request, the best first and those that rest last."""
        if len(self.endpoints) == 1:
            return list(self.endpoints)
        key = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()
        ranked = sorted(self.endpoints, key=lambda endpoint: hashlib.sha256(f"{endpoint.name} {key}".encode()).digest())
        with self._lock:
            first = self._with_room(self._home(key, ranked), ranked)
            self._count(first)
        rest = [endpoint for endpoint in ranked if endpoint is not first]
        return [first, *sorted(rest, key=lambda endpoint: endpoint.is_resting)]

    def _home(self, key: str, ranked: list[Endpoint]) -> Endpoint:
        home = self._homes.get(key)
        if home is None or home.is_resting:
            awake = [endpoint for endpoint in ranked if not endpoint.is_resting] or ranked
            open_ = [endpoint for endpoint in awake if not self._is_crowded(endpoint, awake)]
            home = open_[0] if open_ else min(awake, key=lambda endpoint: self._made[endpoint])
            self._prompts += key not in self._homes
            self._homes[key] = home
        self._homes.move_to_end(key)
        if len(self._homes) > _REMEMBERED:
            self._homes.popitem(last=False)
        return home

    def _is_crowded(self, endpoint: Endpoint, awake: list[Endpoint]) -> bool:
        """Whether it has had more than its share, or is so slow that its queue is twice as long as the others'."""
        made, load = (sum(values) / len(awake) for values in ([self._made[e] for e in awake], [e.load for e in awake]))
        a_prompt = sum(self._made.values()) / max(1.0, self._prompts)
        return self._made[endpoint] > made + 1 or endpoint.load > 2 * load + a_prompt + 1

    @staticmethod
    def _with_room(home: Endpoint, ranked: list[Endpoint]) -> Endpoint:
        """The home, or where its limit is reached and another endpoint has nothing to wait for, that one."""
        if home.places.has_room:
            return home
        return next((endpoint for endpoint in ranked if endpoint.places.has_room and not endpoint.is_resting), home)

    def _count(self, endpoint: Endpoint) -> None:
        self._made[endpoint] += 1
        if sum(self._made.values()) > _RECENT * len(self.endpoints):
            self._made = {known: made / 2 for known, made in self._made.items()}
            self._prompts /= 2

    def __deepcopy__(self, memo: dict[int, Any]) -> Affinity:
        return self

    def __reduce__(self) -> tuple[Callable[..., Affinity], tuple[tuple[Endpoint, ...]]]:
        return _same, (self.endpoints,)


def affinity_of(names: Sequence[str], max_concurrency: int | None = None) -> Affinity:
    """The affinity over some addresses; the same one for the same addresses in a process."""
    return _same(tuple(endpoint_at(name, max_concurrency) for name in names))


@cache
def _same(endpoints: tuple[Endpoint, ...]) -> Affinity:
    return Affinity(endpoints)
