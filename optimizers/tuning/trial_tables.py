"""TrialTables: a study's trials, read, begun and ended by plain statements on Optuna's tables.

Optuna goes through objects, with statements and a transaction for each attribute of a trial. Here a trial is begun in
one transaction and ended in another, and what has ended is read once. The rows are the ones that Optuna writes, so all
that opens its storages opens these.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

_PARAMS, _VALUES, _STEPS = "trial_params", "trial_values", "trial_intermediate_values"
_USER, _SYSTEM = "trial_user_attributes", "trial_system_attributes"
_ORDERED_BY = {_PARAMS: "param_id", _VALUES: "objective", _STEPS: "step", _USER: "key", _SYSTEM: "key"}
_AT_ONCE = 500  # trials whose rows one statement reads
_INFINITE: dict[str, Any] = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}
Rows = Mapping[str, Sequence[Any]]


class TrialTables:
    """The trials of one study.

    Args:
        engine: of a database in which Optuna has made its tables.
        study_id: the study's number there.
    """

    def __init__(self, engine: sa.Engine, study_id: int) -> None:
        self._engine, self._study_id = engine, study_id
        metadata = sa.MetaData()
        metadata.reflect(engine, only=["studies", "trials", *_ORDERED_BY])
        self._tables = metadata.tables
        self._inserts = {name: metadata.tables[name].insert() for name in _ORDERED_BY}
        self._selects = {name: _of_trials(metadata.tables[name], order) for name, order in _ORDERED_BY.items()}
        self._known: dict[int, FrozenTrial] = {}

    def look(self) -> list[FrozenTrial]:
        """The trials of all workers at one moment, by number;
        those that had ended at the last look are not read again.
        """
        trials = self._tables["trials"]
        under_way = [key for key, trial in self._known.items() if not trial.state.is_finished()]
        fresh = (trials.c.trial_id > max(self._known, default=-1)) | trials.c.trial_id.in_(under_way)
        with self._engine.connect() as connection:
            of_study = trials.c.study_id == self._study_id
            found = connection.execute(sa.select(trials).where(of_study, fresh).order_by(trials.c.trial_id)).all()
            for start in range(0, len(found), _AT_ONCE):
                self._read(connection, found[start : start + _AT_ONCE])
        return list(self._known.values())

    def begin(self, trial: FrozenTrial) -> FrozenTrial:
        """Adds a trial that is under way; returns it with its number."""
        studies, trials = self._tables["studies"], self._tables["trials"]
        others = trials.alias()
        past = sa.select(sa.func.count()).where(others.c.study_id == self._study_id).scalar_subquery()
        values = {"study_id": self._study_id, "state": trial.state.name, "datetime_start": _utc(trial.datetime_start)}
        with self._engine.begin() as connection:
            # One worker at a time counts: on PostgreSQL by this lock, on SQLite since it writes before it reads.
            connection.execute(
                sa.select(studies.c.study_id).where(studies.c.study_id == self._study_id).with_for_update()
            )
            key = connection.execute(trials.insert().values(number=past), values).inserted_primary_key
            trial._trial_id = key[0] if key else 0
            trial.number = connection.scalars(
                sa.select(trials.c.number).where(trials.c.trial_id == trial._trial_id)
            ).one()
            self._add(connection, trial._trial_id, _rows(trial))
        return trial

    def end(self, trial: FrozenTrial, ended: FrozenTrial) -> bool:
        """Gives a trial the state, values, steps and further attributes of ``ended``;
        False where someone else has ended it.
        """
        trials = self._tables["trials"]
        with self._engine.begin() as connection:
            running = (trials.c.trial_id == trial._trial_id) & (trials.c.state == TrialState.RUNNING.name)
            now = (
                trials.update()
                .where(running)
                .values(state=ended.state.name, datetime_complete=_utc(ended.datetime_complete))
            )
            if not connection.execute(now).rowcount:
                return False
            self._add(connection, trial._trial_id, _rows(ended))
        return True

    def _add(self, connection: sa.Connection, key: int, rows: Mapping[str, list[dict[str, Any]]]) -> None:
        for name, found in rows.items():
            if found:
                connection.execute(self._inserts[name], [{"trial_id": key, **row} for row in found])

    def _read(self, connection: sa.Connection, found: Sequence[Any]) -> None:
        parts: dict[int, dict[str, list[Any]]] = {row.trial_id: defaultdict(list) for row in found}
        for name, select in self._selects.items():
            for row in connection.execute(select, {"keys": list(parts)}):
                parts[row.trial_id][name].append(row)
        self._known.update({row.trial_id: _trial(row, parts[row.trial_id]) for row in found})


def _of_trials(table: sa.Table, order: str) -> sa.Select[Any]:
    return sa.select(table).where(table.c.trial_id.in_(sa.bindparam("keys", expanding=True))).order_by(table.c[order])


def _rows(trial: FrozenTrial) -> dict[str, list[dict[str, Any]]]:
    return {
        _PARAMS: list(_param_rows(trial)),
        _VALUES: [{"objective": place, **_number("value", value)} for place, value in enumerate(trial.values or ())],
        _STEPS: [
            {"step": step, **_number("intermediate_value", value)} for step, value in trial.intermediate_values.items()
        ],
        _USER: [{"key": key, "value_json": json.dumps(value)} for key, value in trial.user_attrs.items()],
        _SYSTEM: [{"key": key, "value_json": json.dumps(value)} for key, value in trial.system_attrs.items()],
    }


def _param_rows(trial: FrozenTrial) -> Iterator[dict[str, Any]]:
    for name, value in trial.params.items():
        kind = trial.distributions[name]
        yield {
            "param_name": name,
            "param_value": kind.to_internal_repr(value),
            "distribution_json": distribution_to_json(kind),
        }


def _number(name: str, value: float) -> dict[str, Any]:
    """A finite number, as everything of ours is, in Optuna's two columns."""
    return {name: value, f"{name}_type": "FINITE"}


def _trial(row: Any, parts: Rows) -> FrozenTrial:
    kinds = {param.param_name: _distribution(param.distribution_json) for param in parts[_PARAMS]}
    return FrozenTrial(
        number=row.number,
        state=TrialState[str(row.state)],
        value=None,
        values=[_INFINITE.get(found.value_type, found.value) for found in parts[_VALUES]] or None,
        datetime_start=_local(row.datetime_start),
        datetime_complete=_local(row.datetime_complete),
        params={
            param.param_name: kinds[param.param_name].to_external_repr(param.param_value) for param in parts[_PARAMS]
        },
        distributions=kinds,
        user_attrs={found.key: json.loads(found.value_json) for found in parts[_USER]},
        system_attrs={found.key: json.loads(found.value_json) for found in parts[_SYSTEM]},
        intermediate_values={
            s.step: _INFINITE.get(s.intermediate_value_type, s.intermediate_value) for s in parts[_STEPS]
        },
        trial_id=row.trial_id,
    )


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.astimezone(UTC).replace(tzinfo=None)


def _local(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
