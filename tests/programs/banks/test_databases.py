from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from dspy_fusion.programs.banks.databases import listen


def test_a_connection_made_before_is_prepared_too(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'some.db'}")
    with engine.connect():
        pass  # and goes back to the pool
    with listen(engine).connect() as connection:
        found = [
            connection.exec_driver_sql(f"pragma {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        ]
    assert found == ["wal", 1, 60000]
