"""CandidateBank: candidates kept on disk, drawn once and replayed by any program, strategy or trial.

A candidate's key is the digest of all that its text depends on: the module's state and code, the model, the adapter,
the inputs, the temperature, the seed and its place (``bank_keys`` says how each is told apart). Answers and unparsable
answers are kept, for both are draws; a lost connection is not, and neither is what another model answered in the place
of the one that was asked. Aggregations, fused answers and verdicts are kept in the same way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import dspy
import sqlalchemy as sa

from ..calls.attempts import Attempt
from ..calls.metering import Meter
from ..errors import BankError, FusionError
from ..pools.candidates import Candidate
from ..redaction import redacting
from .databases import cause, database_url, listen, patiently, without_password
from .payloads import read, written
from .reservations import Reservations
from .shared_bank import DrawnOnce, SharedWrites

ANSWER_ERRORS = ("AdapterParseError", "AnswerCutOff", "NoAnswer", "KeyError", "ValidationError")
"""How errors begin that are the answer's own and would come again; another one, such as a server that is gone, may
pass."""
VERSION = 2
_READ = (1, VERSION)
_AT_ONCE = 400  # keys in one statement, below every driver's limit

logger = redacting(logging.getLogger(__name__))
_metadata = sa.MetaData()
_candidates = sa.Table(
    "dspy_fusion_candidates",
    _metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("payload", sa.Text, nullable=False),
)
_kept = sa.select(_candidates.c.key, _candidates.c.payload).where(
    _candidates.c.key.in_(sa.bindparam("keys", expanding=True))
)
_about = sa.Table("dspy_fusion_bank", _metadata, sa.Column("version", sa.Integer, primary_key=True))


class CandidateBank:
    """Candidates on disk in a file, or behind an SQLAlchemy URL.

    Args:
        url: the path of a file, such as ``bank.db``; or a URL, such as ``sqlite:///bank.db``, or a PostgreSQL URL when
            several machines share one bank.
        shared: whether other processes draw into the bank at the same time. Without it two of them that want the same
            candidate at the same moment may each pay for it, and one answer is kept; with it the second waits for the
            first, at the price of three more short statements a candidate.

    Raises:
        BankError: the bank cannot be opened, is no bank, or was written by a newer version.

    Example:
        ``Fusion(program, n=5, bank=CandidateBank("bank.db"))`` draws its candidates once; ``Vote`` over the same
        program, model and seed replays them, with the usage of the original calls.
    """

    def __init__(self, url: str | Path, *, shared: bool = False) -> None:
        self.url, self._shown, self.shared = str(url), without_password(url), shared
        self._once = DrawnOnce()
        with self._told("open", "give the path or URL of a bank or of a new file"):
            self._engine = listen(sa.create_engine(database_url(url)))
            patiently(self._open)
        self._writes = SharedWrites(self._engine, _candidates)
        self._reservations = Reservations(self._engine, lambda: self._told("write to", "what was kept before is safe"))

    def replays(self, attempts: Sequence[Attempt]) -> dict[str, Candidate]:
        """The kept candidates of these attempts by their keys, in one look-up; those that are not kept are left out.

        A bank that knows answers of another origin too overrides this.

        Raises:
            BankError: what is kept cannot be read.
        """
        keyed = {attempt.key: attempt for attempt in attempts if attempt.key}
        with self._told("read", "use a new bank"):
            payloads = self._payloads(list(keyed))
        try:
            replays = {key: read(keyed[key], payload) for key, payload in payloads}
        except Exception as error:  # damage can be anything
            raise BankError(
                f"a candidate in the bank {self._shown!r} cannot be read: {cause(error)}; use a new bank"
            ) from error
        lacking = (key for key, c in replays.items() if keyed[key].logprobs and c.ok and c.logprob is None)
        for key in list(lacking):  # drawn when nobody asked for log-probabilities
            del replays[key]
        self._once.missed(keyed.keys() - replays.keys())
        return replays

    def drawn_once(self, attempt: Attempt, meter: Meter) -> Candidate:
        """The kept candidate of an attempt, or a new one, which is kept.

        Threads that want the same one wait for the first, and processes do where the bank is ``shared``.
        """
        held = self._reservations.held(attempt.key, meter.is_over) if self.shared else nullcontext()
        with self._once.turn(attempt.key) as must_look, held:
            replay = self._replay(attempt, meter) if must_look or self.shared else None
            return replay or self._keep(attempt, attempt.make(meter), meter)

    async def adrawn_once(self, attempt: Attempt, meter: Meter) -> Candidate:
        """As :meth:`drawn_once`; the tasks of one event loop wait for the first.

        A thread does not wait for a task of another thread, whose loop may itself be waiting for that thread.
        """
        held = self._reservations.aheld(attempt.key, meter.is_over) if self.shared else nullcontext()
        async with self._once.aturn(attempt.key) as must_look, held:
            replay = await asyncio.to_thread(self._replay, attempt, meter) if must_look or self.shared else None
            return replay or await asyncio.to_thread(self._keep, attempt, await attempt.amake(meter), meter)

    def fill(self, attempts: Sequence[Attempt], answers: Sequence[Mapping[str, Any]]) -> None:
        """Keeps recorded answers as if the attempts had given them, so that they are replayed without a model.

        Args:
            attempts: what a program would call, from its ``attempts(**inputs)``.
            answers: one mapping of output fields per attempt, in the same order.

        Raises:
            BankError: the numbers differ, or an attempt has no key (``bank_keys`` says what cannot have one).
        """
        if len(attempts) != len(answers):
            raise BankError(
                f"{len(answers)} recorded answers do not fit {len(attempts)} attempts; give one answer per attempt"
            )
        if keyless := [attempt.index for attempt in attempts if not attempt.key]:
            raise BankError(f"attempt {keyless[0]} has no key, so nothing can be kept for it; the log says why")
        for attempt, answer in zip(attempts, answers, strict=True):
            candidate = Candidate(attempt.index, dspy.Prediction(**answer), layer=attempt.layer)
            with self._told("write to", "what was kept before is safe"):
                self._writes.replace(attempt.key, written(attempt, candidate))
            self._once.kept(attempt.key)

    @property
    def engine(self) -> sa.Engine:
        """The database, for tables that are kept beside the candidates."""
        return self._engine

    def __len__(self) -> int:
        with self._told("read", "use a new bank"), self._engine.connect() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(_candidates)) or 0

    def __deepcopy__(self, memo: dict[int, Any]) -> CandidateBank:
        return self

    def __reduce__(self) -> tuple[type[CandidateBank], tuple[str], dict[str, bool]]:
        return type(self), (self.url,), {"shared": self.shared}

    def close(self) -> None:
        """Closes the connections; the bank opens them again when it is used."""
        self._engine.dispose()

    def _open(self) -> None:
        tables = set(sa.inspect(self._engine).get_table_names())
        if self._engine.dialect.name == "sqlite" and tables and not tables & {*_metadata.tables}:
            raise BankError(f"{self._shown!r} is a database but no candidate bank; give another one")
        _metadata.create_all(self._engine)
        with self._engine.begin() as connection:
            version = connection.scalar(sa.select(_about.c.version))
            if version is None:
                connection.execute(_about.insert().values(version=VERSION))
            elif version not in _READ:
                raise BankError(
                    f"the bank {self._shown!r} is of version {version!r}, but this library writes version {VERSION}; "
                    "use a new bank or the library that wrote it"
                )
            elif version != VERSION:
                connection.execute(_about.update().values(version=VERSION))
                logger.warning(
                    "the bank %s was written by an older version, whose keys said less; recorded generations stay, "
                    "and candidates are drawn anew",
                    self._shown,
                )

    def _payloads(self, keys: list[str]) -> list[tuple[str, str]]:
        with self._engine.connect() as connection:
            parts = (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))
            return [(key, payload) for part in parts for key, payload in connection.execute(_kept, {"keys": part})]

    @contextmanager
    def _told(self, doing: str, advice: str) -> Iterator[None]:
        """Has whatever goes wrong with the database, of which damage can be anything, be a ``BankError``."""
        try:
            yield
        except FusionError:
            raise
        except Exception as error:
            raise BankError(f"cannot {doing} the bank {self._shown!r}: {cause(error)}; {advice}") from error

    def _replay(self, attempt: Attempt, meter: Meter) -> Candidate | None:
        replay = self.replays([attempt]).get(attempt.key)
        if replay is not None:
            meter.add_replayed(replay.by_model or {replay.lm: replay.usage})
        return replay

    def _keep(self, attempt: Attempt, candidate: Candidate, meter: Meter) -> Candidate:
        if meter.has_stand_in:
            return candidate
        if not candidate.ok and not (candidate.error or "").startswith(ANSWER_ERRORS):
            return candidate
        with self._told("write to", "what was kept before is safe"):
            payload = written(attempt, candidate)
            if not self._writes.keep(attempt.key, payload):  # another was first, and first is what everyone replays
                if (replay := self.replays([attempt]).get(attempt.key)) is not None:
                    self._once.kept(attempt.key)
                    return replay
                self._writes.replace(attempt.key, payload)  # that one has no log-probabilities
        self._once.kept(attempt.key)
        return candidate
