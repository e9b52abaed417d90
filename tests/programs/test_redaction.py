from __future__ import annotations

import sys
from itertools import count
from typing import Any

from dspy_fusion.programs import redaction


def test_a_secret_that_becomes_known_while_another_text_is_read_is_taken_out_from_then_on() -> None:
    met = 0
    for moment in count():
        redaction.know(f"an-earlier-secret-{moment}")  # so that there is something to be worked out
        secret, left = f"a-secret-of-another-thread-{moment}", [moment]

        def at_this_moment(frame: Any, event: str, _: Any, secret: str = secret, left: list[int] = left) -> Any:
            if frame.f_code.co_filename == redaction.__file__ and event == "return":
                left[0] -= 1
                if left[0] == -1:
                    redaction.know(secret)
            return at_this_moment

        before = sys.gettrace()
        sys.settrace(at_this_moment)
        try:
            redaction.redacted("a text")
        finally:
            sys.settrace(before)
        if left[0] >= 0:
            break  # it has no such moment any more
        met += 1
        assert secret not in redaction.redacted(f"it says {secret}")
    assert met > 3
