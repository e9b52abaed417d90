"""A call that nobody waits for ends what it reads from, and nothing that another call reads from by then."""

from __future__ import annotations

import socket
import time

import pytest

from dspy_fusion.programs.wire.open_calls import OpenCall, current_call, making


def is_open(near: socket.socket, far: socket.socket) -> bool:
    far.setblocking(False)
    try:
        return far.recv(1) != b""
    except BlockingIOError:
        return True


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_call_holds_ends_with_it(when: str) -> None:
    near, far = socket.socketpair()
    with near, far:
        call = OpenCall()
        if when == "before":
            call.give_up()
        call.hold(near)
        if when == "after":
            call.give_up()
        assert not is_open(near, far)


def test_a_connection_that_went_back_to_its_pool_stays() -> None:
    near, far = socket.socketpair()
    with near, far:
        call = OpenCall()
        with making(call):
            assert current_call() is call
            call.hold(near)
        call.give_up()
        assert current_call() is None
        assert is_open(near, far)


def test_a_connection_that_another_call_reads_from_by_now_stays_and_ends_with_that_one() -> None:
    near, far = socket.socketpair()
    with near, far:
        first, second = OpenCall(), OpenCall()
        first.hold(near)  # and puts it back into its pool, but has still to look at what it read
        second.hold(near)
        first.give_up()
        assert is_open(near, far)
        first.finished()
        second.give_up()
        assert not is_open(near, far)


def test_no_time_limit_is_later_than_the_end() -> None:
    assert OpenCall().within(None) is None
    assert OpenCall().within(3.0) == 3.0
    assert 0 < (OpenCall(time.monotonic() + 1).within(60.0) or 0) <= 1
    assert (OpenCall(time.monotonic() - 1).within(None) or 0) == pytest.approx(0.01)
