"""CandidateBank: candidates kept on disk, drawn once and replayed by any program, strategy or trial.

A candidate's key is the digest of what its text depends on: the module's class and state, the model (name, address,
settings), the inputs, the temperature, the seed and its place; not the module's code. Answers and unparsable answers
are kept, for both are draws; a lost connection is not. Aggregations, fused answers and verdicts are kept in the same
way.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dspy
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from ..calls.attempts import Attempt
from ..calls.metering import Meter
from ..errors import BankError
from ..pools.candidates import Candidate, Usage
from ..tasks.signatures import plain, typed
from .databases import cause, listen, with_driver, without_password

VERSION = 1
_DRAWN_ERRORS = ("AdapterParseError", "AnswerCutOff", "KeyError", "ValidationError")

_metadata = sa.MetaData()
_candidates = sa.Table(
    "dspy_fusion_candidates",
    _metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("payload", sa.Text, nullable=False),
)
_about = sa.Table("dspy_fusion_bank", _metadata, sa.Column("version", sa.Integer, primary_key=True))


class CandidateBank:
    """Candidates on disk behind an SQLAlchemy URL.

    Args:
        url: such as ``sqlite:///bank.db``, or a PostgreSQL URL when several machines share one bank.

    Raises:
        BankError: the bank cannot be opened, is no bank, or was written by another version.

    Example:
        ``Fusion(program, n=5, bank=CandidateBank("sqlite:///bank.db"))`` draws its candidates once; ``Vote`` over the
        same program, model and seed replays them, with the usage of the original calls.
    """

    def __init__(self, url: str) -> None:
        self.url, self._shown = url, without_password(url)
        self._locks: dict[str, threading.Lock] = {}
        self._locks_guard = threading.Lock()
        try:
            self._engine = listen(sa.create_engine(with_driver(url)))
            self._open()
        except (SQLAlchemyError, ImportError, OSError, ValueError) as error:
            raise BankError(
                f"cannot open the bank {self._shown!r}: {cause(error)}; give the URL of a bank or of a new file"
            ) from error

    def drawn_once(self, attempt: Attempt, meter: Meter) -> Candidate:
        """The kept candidate of an attempt, or a new one, which is kept.

        Threads that want the same one wait for the first.
        """
        with self._drawing(attempt.key):
            return self._replay(attempt, meter) or self._keep(attempt, attempt.make(meter))

    async def adrawn_once(self, attempt: Attempt, meter: Meter) -> Candidate:
        """As :meth:`drawn_once`; tasks that want the same candidate at the same time may each draw it."""
        found = await asyncio.to_thread(self._replay, attempt, meter)
        return found or await asyncio.to_thread(self._keep, attempt, await attempt.amake(meter))

    def fill(self, attempts: Sequence[Attempt], answers: Sequence[Mapping[str, Any]]) -> None:
        """Keeps recorded answers as if the attempts had given them, so that they are replayed without a model.

        Args:
            attempts: what a program would call, from its ``attempts(**inputs)``.
            answers: one mapping of output fields per attempt, in the same order.

        Raises:
            BankError: the numbers differ.
        """
        if len(attempts) != len(answers):
            raise BankError(
                f"{len(answers)} recorded answers do not fit {len(attempts)} attempts; give one answer per attempt"
            )
        for attempt, answer in zip(attempts, answers, strict=True):
            self._keep(attempt, Candidate(attempt.index, dspy.Prediction(**answer), layer=attempt.layer))

    def find(self, attempt: Attempt) -> Candidate | None:
        """The kept candidate of an attempt, or None; a bank that knows answers of another origin too overrides this.

        Raises:
            BankError: what is kept cannot be read.
        """
        with self._engine.connect() as connection:
            payload = connection.scalar(sa.select(_candidates.c.payload).where(_candidates.c.key == attempt.key))
        if payload is None:
            return None
        try:
            found = _from_payload(attempt, json.loads(payload))
        except (ValueError, KeyError, TypeError) as error:
            raise BankError(
                f"a candidate in the bank {self._shown!r} cannot be read: {cause(error)}; use a new bank"
            ) from error
        return None if attempt.logprobs and found.ok and found.logprob is None else found

    @property
    def engine(self) -> sa.Engine:
        """The database, for tables that are kept beside the candidates."""
        return self._engine

    def __len__(self) -> int:
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(_candidates)) or 0

    def __deepcopy__(self, memo: dict[int, Any]) -> CandidateBank:
        return self

    def __reduce__(self) -> tuple[type[CandidateBank], tuple[str]]:
        return type(self), (self.url,)

    def close(self) -> None:
        """Closes the connections; the bank opens them again when it is used."""
        self._engine.dispose()

    def _open(self) -> None:
        tables = set(sa.inspect(self._engine).get_table_names())
        if self._engine.dialect.name == "sqlite" and tables and _about.name not in tables:
            raise BankError(f"{self._shown!r} is a database but no candidate bank; give another URL")
        _metadata.create_all(self._engine)
        with self._engine.begin() as connection:
            version = connection.scalar(sa.select(_about.c.version))
            if version is None:
                connection.execute(_about.insert().values(version=VERSION))
            elif version != VERSION:
                raise BankError(
                    f"the bank {self._shown!r} is of version {version}, but this library writes version {VERSION}; "
                    "use a new bank or the library that wrote it"
                )

    @contextmanager
    def _drawing(self, key: str) -> Iterator[None]:
        with self._locks_guard:
            lock = self._locks.setdefault(key, threading.Lock())
        try:
            with lock:
                yield
        finally:
            with self._locks_guard:
                self._locks.pop(key, None)

    def _replay(self, attempt: Attempt, meter: Meter) -> Candidate | None:
        found = self.find(attempt)
        if found is not None:
            meter.add_replayed(found.by_model or {found.lm: found.usage})
        return found

    def _keep(self, attempt: Attempt, candidate: Candidate) -> Candidate:
        if candidate.ok or (candidate.error or "").startswith(_DRAWN_ERRORS):
            values = {"key": attempt.key, "payload": json.dumps(_to_payload(attempt, candidate))}
            try:
                with self._engine.begin() as connection:
                    connection.execute(_candidates.delete().where(_candidates.c.key == attempt.key))
                    connection.execute(_candidates.insert().values(values))
            except IntegrityError:
                return self.find(attempt) or candidate  # another process was first, and first is what everyone replays
            except SQLAlchemyError as error:
                raise BankError(
                    f"cannot write to the bank {self._shown!r}: {cause(error)}; what was kept before is safe"
                ) from error
        return candidate


def _to_payload(attempt: Attempt, candidate: Candidate) -> dict[str, Any]:
    names = {id(predictor): name for name, predictor in attempt.module.named_predictors()}
    rows = [
        {"predictor": names[id(row[0])], "inputs": plain(dict(row[1])), "outputs": plain(row[2].toDict())}
        for row in candidate.trace
        if id(row[0]) in names
    ]
    answer = (
        None
        if candidate.prediction is None
        else plain({name: candidate.prediction[name] for name in attempt.signature.output_fields})
    )
    by_model = candidate.by_model or {candidate.lm: candidate.usage}
    return {
        "answer": answer,
        "error": candidate.error,
        "lm": candidate.lm,
        "usage": {name: [usage.calls, usage.tokens_in, usage.tokens_out] for name, usage in by_model.items()},
        "seconds": candidate.seconds,
        "logprob": candidate.logprob,
        "trace": rows,
    }


def _from_payload(attempt: Attempt, payload: dict[str, Any]) -> Candidate:
    predictors = dict(attempt.module.named_predictors())
    answer = payload["answer"]
    trace = tuple(
        (predictors[row["predictor"]], row["inputs"], dspy.Prediction(**row["outputs"]))
        for row in payload["trace"]
        if row["predictor"] in predictors
    )
    if not trace and answer is not None and isinstance(attempt.module, dspy.Predict):
        trace = (
            (attempt.module, dict(attempt.inputs), dspy.Prediction(**answer)),
        )  # drawn while nothing was traced, or recorded
    by_model = {name: Usage(*counts) for name, counts in payload["usage"].items()}
    prediction = None if answer is None else dspy.Prediction(**typed(attempt.signature, answer))
    return Candidate(
        attempt.index,
        prediction,
        payload["error"],
        payload["lm"],
        attempt.layer,
        Usage.total(by_model.values()),
        payload["seconds"],
        payload["logprob"],
        by_model=by_model,
        replayed=True,
        trace=trace,
    )
