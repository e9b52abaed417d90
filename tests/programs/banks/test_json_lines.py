from __future__ import annotations

import errno
import multiprocessing
import resource
import threading
from pathlib import Path

import pytest

from dspy_fusion.programs.banks.json_lines import JsonLines, whole_lines


def lines(path: Path) -> list[bytes]:
    return [line for _, line in whole_lines(path)]


def test_lines_are_read_from_where_append_says_they_begin(tmp_path: Path) -> None:
    file, texts = JsonLines(tmp_path / "f.jsonl"), ["a", "b\u2028with a separator", ""]
    places = [file.append(text.encode()) for text in texts]
    assert list(whole_lines(file.path)) == [(place, text.encode()) for place, text in zip(places, texts, strict=True)]


@pytest.mark.parametrize("torn", [b'{"half', b"x" * (3 << 20)])
def test_a_torn_last_line_is_cut_off_when_the_file_is_opened(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(b"one\n" + torn)
    assert lines(path) == [b"one"]
    assert JsonLines(path).append(b"two") == 4
    assert path.read_bytes() == b"one\ntwo\n"


def test_in_a_shared_file_a_torn_line_is_closed_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(b"one\nhal")
    JsonLines(path, shared=True).append(b"two")
    assert lines(path) == [b"one", b"hal", b"two"]


def _append(path: Path, name: str) -> None:
    file = JsonLines(path, shared=True)
    for number in range(200):
        file.append(f"{name} {number} {'x' * 500}".encode())


def test_processes_and_threads_never_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    others = [multiprocessing.get_context("spawn").Process(target=_append, args=(path, f"p{i}")) for i in range(2)]
    threads = [threading.Thread(target=_append, args=(path, f"t{i}")) for i in range(2)]
    for worker in (*others, *threads):
        worker.start()
    for worker in (*others, *threads):
        worker.join()
    expected = {f"{name} {number} {'x' * 500}".encode() for name in ("p0", "p1", "t0", "t1") for number in range(200)}
    assert sorted(lines(path)) == sorted(expected)


def test_what_a_full_disk_took_of_a_line_is_taken_back(tmp_path: Path) -> None:
    file = JsonLines(tmp_path / "f.jsonl")
    file.append(b"whole")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError) as error:  # noqa: PT011 (the number is looked at)
            file.append(b"x" * 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.errno in (errno.ENOSPC, errno.EFBIG)
    file.append(b"next")
    assert lines(file.path) == [b"whole", b"next"]


def test_a_closed_file_is_opened_again(tmp_path: Path) -> None:
    file = JsonLines(tmp_path / "f.jsonl")
    file.append(b"one")
    file.close()
    file.close()
    file.append(b"two")
    assert lines(file.path) == [b"one", b"two"]
