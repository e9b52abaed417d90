"""How fast a bank of a million candidates replays, beside one of a thousand, and beside calls that take no time.

``python -m benchmarks.large_bank`` prints candidates a second of both banks, and calls a second of a loopback server
without a delay, each the median of several rounds taken in turns.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import statistics
import tempfile
from pathlib import Path

import dspy
import sqlalchemy as sa

from dspy_fusion.programs import CandidateBank, Vote

from .bank import _by_batch, _rate
from .loopback import loopback_server
from .scale import bare_rate

_N, _QUESTIONS, _AT_ONCE = 8, 125, 20_000


def main() -> None:
    """Fills both banks, replays from them in turns, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder, loopback_server(0.0) as address:
        lm = dspy.LM("openai/loopback", api_base=address, api_key="none", cache=False, engine="lm15")
        with dspy.context(lm=lm):
            banks = [CandidateBank(Path(folder) / f"{size}.db") for size in (1_000, arguments.candidates)]
            batches = [_filled(bank) for bank in banks]
            _grow(banks[1], arguments.candidates)
            rates: list[list[float]] = [[], []]
            for _ in range(arguments.rounds):
                for place, bank in enumerate(banks):
                    rates[place].append(_rate(batches[place], lambda attempts, bank=bank: _by_batch(bank, attempts)))
        calls = statistics.median(bare_rate(address, 500, 1) for _ in range(3))
    small, large = (statistics.median(values) for values in rates)
    print(f"{small:8.0f} candidates/s  from a bank of 1,000")
    print(f"{large:8.0f} candidates/s  from a bank of {arguments.candidates:,}: {large / small:.2f} of that")
    print(
        f"{calls:8.0f} calls/s       of a loopback server without a delay, one after another: {large / calls:.1f} times"
    )


def _filled(bank: CandidateBank) -> list:
    program = Vote(dspy.Predict("question -> answer"), n=_N, bank=bank)
    batches = [program.attempts({"question": f"question {number}"}, _N) for number in range(_QUESTIONS)]
    for attempts in batches:
        bank.fill(attempts, [{"answer": f"answer {place} " * 40} for place in range(_N)])
    return batches


def _grow(bank: CandidateBank, size: int) -> None:
    """Fills up with copies of a candidate under keys that nothing asks for."""
    table, missing = sa.Table("dspy_fusion_candidates", sa.MetaData(), autoload_with=bank.engine), size - len(bank)
    with bank.engine.begin() as connection:
        payload = connection.scalar(sa.select(table.c.payload).limit(1))
        for start in range(0, missing, _AT_ONCE):
            count = min(_AT_ONCE, missing - start)
            keys = (hashlib.sha256(str(start + place).encode()).hexdigest() for place in range(count))
            connection.execute(table.insert(), [{"key": key, "payload": payload} for key in keys])


if __name__ == "__main__":
    main()
