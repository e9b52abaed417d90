from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dspy_fusion.experiments.records.outbox import Outbox


def test_messages_come_back_in_order(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.jsonl")
    assert outbox.messages() == []
    outbox.put({"trial": 1, "text": "größer\nals"})
    outbox.put({"trial": 2})
    assert Outbox(outbox.path).messages() == [{"trial": 1, "text": "größer\nals"}, {"trial": 2}]


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.jsonl")
    outbox.put({"trial": 1})
    with outbox.path.open("a") as file:
        file.write('{"trial": 2, "te')
    assert outbox.messages() == [{"trial": 1}]
    outbox.put({"trial": 3})
    assert outbox.messages() == [{"trial": 1}, {"trial": 3}]


def test_only_line_feeds_end_messages(tmp_path: Path) -> None:
    outbox, message = Outbox(tmp_path / "outbox.jsonl"), {"text": "one\u2028two\u0085three"}
    outbox.put(message)
    assert outbox.messages() == [message]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_not_passed_over() -> None:
    with pytest.raises(OSError, match="No space left"):
        Outbox(Path("/dev/full")).put({"trial": 1})


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "outbox.jsonl"
    threads = [
        threading.Thread(target=lambda i=i: [Outbox(path).put({"n": 100 * i + k}) for k in range(20)]) for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(message["n"] for message in Outbox(path).messages()) == [
        100 * i + k for i in range(4) for k in range(20)
    ]
