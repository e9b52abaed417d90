"""Refusals as servers word them: which option a text says is not taken, and whether only its value is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_ALIASES = {
    "max_tokens": ("max_completion_tokens", "max_output_tokens", "max_new_tokens", "num_predict"),
    "max_completion_tokens": ("max_tokens", "max_output_tokens", "max_new_tokens", "num_predict"),
    "logprobs": ("response_logprobs", "log_probs", "logprob", "log probabilities"),
    "top_logprobs": ("logprobs",),
    "seed": ("random_seed",),
    "stop": ("stop_sequences",),
    "response_format": ("response_schema", "response_mime_type", "json_schema", "structured output", "json mode"),
    "n": ("candidate_count", "num_generations", "best_of"),
    "reasoning_effort": ("reasoning", "thinking_budget", "thinking_level"),
}
"""Other names under which servers speak of an option."""

_REFUSED = re.compile(
    r"not (?:\w+ ){0,2}(?:support|permit|allow|implement|accept|availab|enabl|valid|recogni|compatib|configurab|known)"
    r"|n't (?:\w+ )?(?:support|permit|allow|implement|accept|take)|(?:does|do) not (?:take|have)"
    r"|un(?:support|recogni|known|expected|availab|implement)|extra (?:inputs?|fields?)|extra_forbidden|forbidden"
    r"|only (?:the )?default|only (?:\w+ ){0,2}(?:set to|value|accept|support|allow|one|be)|can(?:not|'t|not both)\b"
    r"|must (?:not |be|equal)|should (?:not )?be|out of (?:the )?range|\brange\b|less.than|greater.than|\bbetween\b"
    r"|at most|at least|exceed|too (?:high|large|low|small)|\binvalid\b|\billegal\b|deprecat|removed|reject|refus"
    r"|incompatib|mutually exclusive|no such|cannot find|unmarshal|conflict|disabled|is (?:fixed|immutable)",
    re.IGNORECASE,
)
_BEYOND = re.compile(
    r"\brange\b|less.than|greater.than|\bbetween\b|at most|at least|exceed|too (?:high|large|low|small)"
    r"|(?:must|should) be (?:<|>|≤|≥|non-?negative|positive|in\b|within)|[<>]=|\bmaximum\b|\bminimum\b|inclusive",
    re.IGNORECASE,
)
_WHOLLY = re.compile(
    r"only (?:the )?default|set to 1\b|must be (?:exactly )?1\b|un(?:support|recogni|known|expected)"
    r"|not (?:\w+ )?support|extra (?:inputs?|fields?)|not permitted|cannot find field|deprecat",
    re.IGNORECASE,
)
_UNTAKEN = re.compile(
    r"not (?:\w+ ){0,2}(?:support|implement|allow)|unsupport|unimplement|unknown param", re.IGNORECASE
)
_OTHER = re.compile(
    r"context.length|context window|content_(?:filter|policy)|content management policy|api.key|quota|billing"
    r"|(?:model|deployment)_?not_?found|safety system",
    re.IGNORECASE,
)
_EITHER = re.compile(
    r"\bboth\b|only one of|use only one|mutually exclusive|one of them|either .{1,40} or\b", re.IGNORECASE
)
_NEAR = 200


def server_text(error: BaseException) -> str:
    """What the server said.

    DSPy's native client keeps one field of the body, and nothing of a body in another form than its provider's (the 422
    of a FastAPI server); then the body is read where the failed exchange still has it.
    """
    said = str(getattr(error, "message", "") or error)
    cause: BaseException | None = error.__cause__
    while cause is not None:
        if body := _body_of(cause):
            return f"{said}\n{body}"
        cause = cause.__cause__
    return said


def named_options(
    text: str, options: Mapping[str, Any], preferred: Iterable[str] = (), *, is_server_fault: bool = False
) -> list[str]:
    """The options that a text says are not taken, in its order."""
    if _OTHER.search(text) or (is_server_fault and not _UNTAKEN.search(text)):
        return []
    structured, locations = _structured(text)
    if locations and (names := [name for name in options if any(_is(name, place) for place in locations)]):
        return names
    if structured:
        return [name for name in options if _is(name, structured)][:1]
    if listed := re.search(r"parameters?:\s*\[([^\]]*)\]", text):
        if names := [name for name in options if re.search(rf"['\"]{name}['\"]", listed[1])]:
            return names
    places = {name: place for name in options if (place := _place(name, text)) is not None}
    names = sorted(places, key=lambda name: places[name])
    if len(names) > 1 and _EITHER.search(text):
        return [next((name for name in names if name in set(preferred)), names[0])]
    return names[:1]


def is_about_the_value(option: str, text: str) -> bool:
    """Whether another value of the option may be taken."""
    return bool(_BEYOND.search(text)) and not _WHOLLY.search(text)


def replacement_for(option: str, text: str) -> str:
    """The name under which the server wants the option, or an empty string."""
    use = re.search(r"(?:use|replaced (?:by|with)|instead,?)\s+[`'\"]?(\w+)[`'\"]?", text, re.IGNORECASE)
    return use[1] if use and use[1] != option and use[1] in _ALIASES.get(option, ()) else ""


def _place(option: str, text: str) -> int | None:
    """Where the text names the option near words of refusal, or None."""
    for match in _pattern(option).finditer(text):
        near = text[max(0, match.start() - _NEAR) : match.end() + _NEAR]
        if _REFUSED.search(near):
            return match.start()
    return None


def _pattern(option: str) -> re.Pattern[str]:
    forms = [
        form for name in (option, *_ALIASES.get(option, ())) for form in {name, _camel(name), name.replace("_", " ")}
    ]
    if option == "n":  # a lone letter names the option only where it is set apart
        return re.compile(r"[`'\"]n[`'\"]|\bn\s*(?:>|=|must\b)|one completion choice|" + "|".join(forms[3:]))
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, forms))})(?![\w-])", re.IGNORECASE)


def _is(option: str, place: str) -> bool:
    last = re.split(r"[.\[\]/]", place.rstrip("]"))[-1]
    return any(last in (name, _camel(name)) for name in (option, *_ALIASES.get(option, ())))


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _structured(text: str) -> tuple[str, list[str]]:
    """The ``param`` of an error in OpenAI's form, and the places of one in pydantic's."""
    param = re.search(r"['\"]param['\"]:\s*['\"]([^'\"]+)['\"]", text)
    locations = re.findall(r"['\"]loc['\"]:\s*[\[(]([^\])]*)[\])]", text)
    return (param[1] if param else ""), [place.split(",")[-1].strip(" '\"") for place in locations]


def _body_of(error: BaseException) -> str:
    body = getattr(error, "body", None)
    if isinstance(body, dict | list):
        return json.dumps(body, default=str)
    trace, text = error.__traceback__, ""
    while trace is not None:
        if "lm15" in trace.tb_frame.f_code.co_filename:
            names = trace.tb_frame.f_locals
            raw = getattr(names.get("resp"), "body", None) or names.get("body")
            text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else text
        trace = trace.tb_next
    return text[:20_000]
