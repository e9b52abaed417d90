"""What a client is told when something goes wrong, in the shape in which OpenAI's API says it.

The causes of a failed candidate can hold addresses and parts of keys, so a client is told their kinds; the whole goes
to the log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from dspy.lm15 import ContextLengthError, InvalidRequestError, UnsupportedFeatureError
from dspy.utils.exceptions import ContextWindowExceededError

from dspy_fusion.programs.errors import Abstained, FusionError, FusorFailed, QuorumNotMet, ScorerError
from dspy_fusion.programs.redaction import redacted, redacting

logger = redacting(logging.getLogger(__name__))

_NO_RETRY = {"x-should-retry": "false"}  # the client of OpenAI would send a failed program's whole work again, twice


class ApiError(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP.
        message: what is wrong and what to do, in one line.
        code: what programs go by, such as ``model_not_found``.
        param: the field of the request that is wrong, or None.
        kind: OpenAI's ``type``; None takes the one that goes with the status.
        headers: further ones of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.kind = kind or _kind(status)
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The response's JSON."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


def bad_request(message: str, param: str | None, *, code: str | None = None) -> ApiError:
    """A request that is wrong in the field ``param``."""
    return ApiError(400, message, param=param, code=code)


def as_api_error(error: BaseException) -> ApiError:
    """What a client is told of an exception; what it is not told goes to the log."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TimeoutError):
        return ApiError(504, "no answer within this server's time limit", code="time_limit", headers=_NO_RETRY)
    if isinstance(error, ContextLengthError):
        return bad_request(_first_line(error), "messages", code="context_length_exceeded")
    if isinstance(error, UnsupportedFeatureError):
        return bad_request(
            _first_line(error), (error.feature or "").rpartition(".")[2] or None, code="unsupported_parameter"
        )
    if isinstance(error, InvalidRequestError):
        return bad_request(_first_line(error), "messages")
    if isinstance(error, Abstained):
        said = _first_line(error).partition(";")[0]
        return ApiError(502, f"the program is not sure enough: {said}", code="abstained", headers=_NO_RETRY)
    if isinstance(error, QuorumNotMet | FusorFailed | ScorerError):
        return _failed_program(error)
    logger.error("a request failed", exc_info=error)
    return ApiError(
        500, "the server failed on this request; its log says why", code="internal_error", headers=_NO_RETRY
    )


def _failed_program(error: FusionError) -> ApiError:
    logger.warning("a request failed: %s", error)
    message = _first_line(error).partition("; the causes")[0]
    causes = error.causes if isinstance(error, QuorumNotMet) else ()
    kinds = dict.fromkeys(cause.split(": ")[1] for cause in causes if ": " in cause)
    if list(kinds) == [ContextWindowExceededError.__name__]:
        return bad_request(
            "the prompt is too long for the models of this program", "messages", code="context_length_exceeded"
        )
    if isinstance(error, QuorumNotMet):
        code, message = "quorum_not_met", f"{message} ({', '.join(kinds)})"
    else:
        code, message = (
            ("fusor_failed", "the fusor failed")
            if isinstance(error, FusorFailed)
            else ("scorer_failed", "the scorer failed")
        )
    return ApiError(502, message, code=code, headers=_NO_RETRY)


def _kind(status: int) -> str:
    if status >= 500:
        return "server_error"
    return {403: "permission_error", 429: "rate_limit_error"}.get(status, "invalid_request_error")


def _first_line(error: BaseException) -> str:
    return redacted(str(error).partition("\n")[0])
