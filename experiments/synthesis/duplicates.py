"""Near duplicates among the rows of a synthesis, by MinHash over runs of five characters, with an index on disk.

The index (bands of the signatures, as in locality-sensitive hashing) is a database file, so memory does not grow with
the number of rows. A row is compared with kept rows of lower places only, and rows come in the order of their places,
so what is dropped depends neither on the order in which rows were made nor on how often the run was interrupted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dspy_fusion.programs.errors import RecordError
from dspy_fusion.programs.extras import needs

from .synthesized_rows import Row

_PERMUTATIONS = 128
_RUN = 5  # characters a shingle
_READ = 16_384  # characters of a row that are compared
_MULTIPLIER = 1_000_003
# Bands are chosen so that a pair at the threshold is found in 96 of 100 cases and a copy always; what is found too much
# is compared anyway.
_WEIGHTS = (0.02, 0.98)
_FEWEST_BANDS = 0.98
_SCHEMA = """
CREATE TABLE IF NOT EXISTS signatures (place INTEGER PRIMARY KEY, signature BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS bands
    (band INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (band, place)) WITHOUT ROWID;
"""


class Like(NamedTuple):
    """An earlier row that is much like another.

    Its place, and the estimated share of runs of characters that they have in common.
    """

    place: int
    similarity: float


class DuplicateIndex:
    """Finds the row of lowest place that a row is a near duplicate of.

    Args:
        path: the database file.
        threshold: the similarity from which two rows are near duplicates, in (0, 1].

    Raises:
        ConfigurationError: datasketch is not installed.
        RecordError: the file is no such index.
    """

    def __init__(self, path: Path, threshold: float) -> None:
        with needs("the near-duplicate gate", "synthesize", otherwise="set near_duplicates = 0 in [gates]"):
            from datasketch import MinHash, MinHashLSH
        self.path, self.threshold, self._empty = path, threshold, MinHash(num_perm=_PERMUTATIONS, hashfunc=int)
        chosen = MinHashLSH(threshold=min(threshold, _FEWEST_BANDS), num_perm=_PERMUTATIONS, weights=_WEIGHTS)
        self._bands, self._width = int(chosen.b), int(chosen.r)
        try:
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def fill(self, rows: Iterable[Row]) -> None:
        """Enters rows that were kept, where the index is new and the rows are not."""
        if self._database.execute("SELECT 1 FROM signatures LIMIT 1").fetchone() is None:
            for row in rows:
                self._enter(row.index, self._signature(row))
            self.commit()

    def check(self, row: Row) -> Like | None:
        """The earlier kept row that this one is like, or None; it is then entered as kept itself."""
        try:
            self._database.execute(
                "DELETE FROM signatures WHERE place = ?", (row.index,)
            )  # of a time before it was made again
            signature = self._signature(row)
            match = self._earlier(row.index, signature)
            if match is None:
                self._enter(row.index, signature)
            return match
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def commit(self) -> None:
        """Makes what was entered last."""
        try:
            self._database.commit()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def close(self) -> None:
        """Closes the file; what was not committed is gone."""
        self._database.close()

    def _earlier(self, place: int, signature: np.ndarray) -> Like | None:
        bands = self._keys(signature)
        marks = ", ".join("?" * len(bands))
        query = f"FROM bands JOIN signatures USING (place) WHERE band IN ({marks}) AND place < ? ORDER BY place"
        for earlier, stored in self._database.execute(f"SELECT DISTINCT place, signature {query}", (*bands, place)):
            similarity = float(np.mean(np.frombuffer(stored, dtype=np.uint32) == signature))
            if similarity >= self.threshold:
                return Like(earlier, similarity)
        return None

    def _enter(self, place: int, signature: np.ndarray) -> None:
        self._database.execute("INSERT OR REPLACE INTO signatures VALUES (?, ?)", (place, signature.tobytes()))
        self._database.executemany(
            "INSERT OR IGNORE INTO bands VALUES (?, ?)", [(band, place) for band in self._keys(signature)]
        )

    def _signature(self, row: Row) -> np.ndarray:
        hashed = self._empty.copy()
        hashed.update_batch(shingles(f"{row.prompt}\n{row.answer}"))
        return np.asarray(hashed.hashvalues, dtype=np.uint32)

    def _keys(self, signature: np.ndarray) -> list[int]:
        """One 63-bit key a band, which tells the bands apart too."""
        used = signature[: self._bands * self._width].astype(np.uint64).reshape(self._bands, self._width)
        keys = np.arange(1, self._bands + 1, dtype=np.uint64)
        for column in used.T:
            keys = keys * np.uint64(_MULTIPLIER) + column
        mixed = (keys ^ (keys >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        return (mixed >> np.uint64(1)).tolist()

    def _unreadable(self, error: Exception) -> RecordError:
        advice = (
            "the rows are safe, and the same command goes on once there is room; it can be removed, and is then made"
            " from the rows"
        )
        return RecordError(f"the index of near duplicates {self.path} cannot be used ({error}); {advice}")


def shingles(text: str) -> list[int]:
    """The distinct hashes (32 bits) of all runs of five characters of a text's beginning,
    in lower case and with single spaces.
    """
    plain = " ".join(text[:_READ].lower().split()).ljust(_RUN)
    points: Any = np.frombuffer(plain.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    count = len(points) - _RUN + 1
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(_RUN):
        hashes = hashes * np.uint64(_MULTIPLIER) + points[offset : offset + count]
    return np.unique((hashes ^ (hashes >> np.uint64(32))) & np.uint64(0xFFFFFFFF)).tolist()
