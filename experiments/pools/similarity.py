"""How alike the texts of a pool are.

Cosine of their counts of three-character sequences, which needs no model and no word boundaries.
"""

from __future__ import annotations

import unicodedata

import numpy as np

from .ceiling import check_ceiling
from .recorded_pool import RecordedPool
from .subsets import rotated_orders

_BUCKETS = 2048
_PRIMES = np.array([1, 31, 961], dtype=np.uint64)
_LONGEST = 20_000  # characters; what follows changes little
_CHUNK = 500  # questions at a time, which bounds the memory


def similarities(pool: RecordedPool) -> np.ndarray:
    """The similarity of every two texts to a question, in [0, 1]; an empty text is like nothing but itself.

    Returns:
        (questions, candidates, candidates), 1 on the diagonal.
    """
    scores = np.empty((pool.shape[0], pool.shape[1], pool.shape[1]), dtype=np.float32)
    for row in range(pool.shape[0]):
        vectors = np.stack([_vector(text) for text in pool.texts(row)])
        scores[row] = np.clip(vectors @ vectors.T, 0, 1)
        np.fill_diagonal(scores[row], 1)
    return scores


def medoid_curve(pool: RecordedPool, alike: np.ndarray, *, subsets: int, seed: int) -> np.ndarray:
    """The mean quality of the candidate that is most like the others among N, averaged over subsets.

    Ties go to the first drawn.

    Args:
        pool: a graded pool.
        alike: of :func:`similarities`.
        subsets: how many orders each question gets at least.
        seed: of the orders.

    Returns:
        (questions, C): column N - 1 for N candidates.
    """
    curves = []
    for start in range(0, pool.shape[0], _CHUNK):
        part = pool.rows(np.arange(start, min(start + _CHUNK, pool.shape[0])))
        blocks = rotated_orders(*part.shape, subsets=subsets, seed=seed + start)
        curves.append(
            np.mean([_medoids(part, alike[start : start + _CHUNK], orders).mean(axis=1) for orders in blocks], axis=0)
        )
    return np.concatenate(curves)


def _medoids(pool: RecordedPool, alike: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Quality of the medoid of every beginning of every order, (questions, orders, C)."""
    questions, turns, size = orders.shape
    q, t = np.arange(questions)[:, None], np.arange(turns)[None, :]
    present, worth = pool.present[q[:, :, None], orders], pool.quality[q[:, :, None], orders]
    best = np.maximum.accumulate(worth, axis=2)
    closeness = np.where(present, 0, -np.inf).astype(
        np.float32
    )  # to those drawn so far; one that failed is only taken where all did
    quality = np.empty(orders.shape)
    for n in range(size):
        subset = orders[:, :, n]
        closeness += np.where(present[:, :, n, None], alike[q[:, :, None], subset[:, :, None], orders], 0)
        quality[:, :, n] = worth[q, t, np.argmax(closeness[:, :, : n + 1], axis=2)]
    check_ceiling("medoid", quality, best)
    return quality


def _vector(text: str) -> np.ndarray:
    """Counts of three-character sequences, hashed into buckets, of length 1; zeros for an empty text."""
    folded = " ".join(unicodedata.normalize("NFKC", text[:_LONGEST]).casefold().split())
    signs = np.frombuffer(f"  {folded} ".encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32).astype(np.uint64)
    if not folded:
        return np.zeros(_BUCKETS, dtype=np.float32)
    hashed = (signs[:-2] * _PRIMES[2] + signs[1:-1] * _PRIMES[1] + signs[2:]) % np.uint64(2**31 - 1)
    counts = np.bincount((hashed % np.uint64(_BUCKETS)).astype(np.int64), minlength=_BUCKETS).astype(np.float32)
    return counts / np.linalg.norm(counts)
