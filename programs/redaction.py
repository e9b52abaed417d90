"""Secrets, kept out of everything that is written down or shown: errors, records, logs, files, databases.

Two kinds are taken out. *Known values*: what the environment holds under names such as ``OPENAI_API_KEY`` or
``DATABASE_PASSWORD``, and what :func:`know` was told of (the keys of models that are called). *Shapes*: what follows
``Authorization``, ``Bearer`` or ``x-api-key``, users and passwords in URLs, and keys in their queries. Texts of models
and of data lose known values only (:func:`without_secrets`), since an answer may rightly show what such a header looks
like; errors and log lines lose both (:func:`redacted`).
"""

from __future__ import annotations

import base64
import functools
import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

MARK = "[redacted]"
_SHORTEST = 8  # characters; shorter values are words of ordinary texts
_NAMES = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|DSN)S?(?:_\d+)?$|_SECRET_|_API_?KEY_",
    re.IGNORECASE,
)
_URIS = re.compile(r"(?:^|_)(?:URL|URI|BASE|PROXY|ENDPOINT|DSN)$", re.IGNORECASE)
_PLACEHOLDERS = frozenset(
    ("none", "empty", "dummy", "fake", "not-needed", "no-key-required", "placeholder", "localhost", "anything")
)
_OPTIONS = re.compile(r"(?:api|access|secret)[-_]?key|token$|password|secret|authorization|credential", re.IGNORECASE)
_SHAPES = (
    (
        re.compile(
            r"((?:proxy-)?authorization['\"]?\s*[:=]\s*(?:b?['\"])?)(?:(?:bearer|basic|token|digest)\s+)?"
            r"[^\s,;'\"}\])\\]+",
            re.IGNORECASE,
        ),
        rf"\g<1>{MARK}",
    ),
    (re.compile(r"(\bbearer\s+)(?=\S*[\d._-])[^\s,;'\"}\])\\]{6,}", re.IGNORECASE), rf"\g<1>{MARK}"),
    (
        re.compile(
            r"((?:x-api-key|api[-_]?key|x-goog-api-key|access[-_]token|client[-_]secret|password)['\"]?\s*[:=]\s*"
            r"(?:b?['\"])?)(?!\[redacted)[^\s,;&'\"}\])\\]+",
            re.IGNORECASE,
        ),
        rf"\g<1>{MARK}",
    ),
    (re.compile(r"([?&](?:key|token|sig|signature|code|api-key)=)[^&\s'\"<>]+", re.IGNORECASE), rf"\g<1>{MARK}"),
    (re.compile(r"\b(?:sk|pk|rk|hf|gsk|xai|ghp|gho|glpat|xox[abp])[-_][A-Za-z0-9_*-]{16,}"), MARK),
)
_USERINFO = re.compile(r"(?<=://)([^/@\s:'\"<>]*)(:[^@\s'\"<>]*)?@(?=\S)")
_LONGEST_USER = 16  # characters; a longer one is a token
_known: set[str] = set()
_lock = threading.Lock()


def know(*values: object) -> None:
    """Has these values taken out of everything from now on; what is too short or a placeholder stays."""
    fresh = {form for value in values for form in _forms(value)}
    if not fresh <= _known:
        with _lock:
            _known.update(fresh)


def know_lm(lm: Any) -> None:
    """Has the keys that a model is called with taken out: its ``api_key``, headers, and what stands in its address."""
    _know_options(getattr(lm, "kwargs", None) or {})


def know_url(url: object) -> None:
    """Has the password of a URL taken out wherever it stands."""
    if isinstance(url, str) and "@" in url:
        try:
            parts = urlsplit(url)
            password = parts.password
        except ValueError:
            return
        know(password)
        if password:
            know(base64.b64encode(f"{parts.username}:{password}".encode()).decode())


def know_urls_in(value: Any) -> None:
    """Has the passwords of all URLs in plain data taken out, such as those of a configuration."""
    if isinstance(value, str):
        know_url(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            know_urls_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            know_urls_in(item)


def redacted(text: str) -> str:
    """An error's or a log line's text without known secrets, and without what has the shape of one."""
    text = without_userinfo(without_secrets(text))
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


def without_secrets(text: str) -> str:
    """A text without known secrets."""
    pattern = _pattern(_environment(), len(_known))
    return pattern.sub(MARK, text) if pattern is not None else text


def without_userinfo(text: str) -> str:
    """A text whose URLs lose their passwords: ``http://me:***@host``."""
    return _USERINFO.sub(_hidden, text) if "@" in text else text


def without_secrets_in(value: Any) -> Any:
    """Plain data whose texts lose known secrets and the credentials of URLs, and whose values called after a key are
    left out whole.
    """
    if isinstance(value, str):
        return without_userinfo(without_secrets(value))
    if isinstance(value, Mapping):
        return {
            key: MARK
            if isinstance(item, str) and item and _OPTIONS.search(str(key)) and not _is_name(item)
            else without_secrets_in(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets_in(item) for item in value]
    return value


def described(error: BaseException, longest: int = 500) -> str:
    """An exception as one redacted line: its type and its message."""
    return redacted(" ".join(f"{type(error).__name__}: {error}".split()))[:longest]


class _Redacting(logging.Filter):
    """Takes secrets out of a record's message and traceback; lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        redact_record(record)
        return True


def redacting(logger: logging.Logger) -> logging.Logger:
    """The logger, whose lines lose secrets whoever handles them."""
    if not any(isinstance(known, _Redacting) for known in logger.filters):
        logger.addFilter(_Redacting())
    return logger


def redact_record(record: logging.LogRecord) -> None:
    """Takes secrets out of a log record, its traceback included."""
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 (logging itself reports arguments that do not fit)
        return
    if (clean := redacted(message)) != message:
        record.msg, record.args = clean, None
    if record.exc_info and record.exc_info[0] is not None:
        record.exc_text = redacted("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))


def guard_process() -> None:
    """Has every log line of this process, whichever library writes it, and every traceback that ends it, lose secrets.

    For commands; a library has no business with other people's logs.
    """
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        entry = make(*args, **kwargs)
        redact_record(entry)
        return entry

    record.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(record)
    sys.excepthook = _print_redacted
    threading.excepthook = lambda failed: (
        None
        if failed.exc_type is SystemExit or failed.exc_value is None
        else _print_redacted(failed.exc_type, failed.exc_value, failed.exc_traceback)
    )


def _print_redacted(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, place))))


def _know_options(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if isinstance(value, Mapping):
            _know_options(value)
        elif isinstance(value, str) and _OPTIONS.search(str(name)):
            know(value, value.partition(" ")[2])
        elif isinstance(value, str):
            know_url(value)


def _forms(value: object) -> Iterable[str]:
    """A secret as it may stand in texts: as it is, in JSON, in a URL, in base64."""
    if not isinstance(value, str) or len(value) < _SHORTEST or value.lower() in _PLACEHOLDERS or not value.strip(" 0"):
        return ()
    forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
    encoded = base64.b64encode(value.encode(errors="surrogatepass")).decode().rstrip("=")
    return forms | {quote(value, safe=""), quote_plus(value), encoded}


def _hidden(userinfo: re.Match[str]) -> str:
    user, password = userinfo.groups()
    return f"{user}:***@" if password and len(user) <= _LONGEST_USER else "***@"


def _is_name(value: str) -> bool:
    """Whether a text is the name of an environment variable, as a catalogue's ``key`` is."""
    return re.fullmatch(r"[A-Z][A-Z0-9_]*", value) is not None


def _environment() -> tuple[str, ...]:
    kept = getattr(os.environ, "_data", os.environ)  # decoding all of it for every text would take too long
    return _secrets_of(tuple(kept.items()))


@functools.lru_cache(maxsize=4)
def _secrets_of(environment: tuple[tuple[str | bytes, str | bytes], ...]) -> tuple[str, ...]:
    values: set[str] = set()
    for name, value in ((os.fsdecode(name), os.fsdecode(value)) for name, value in environment):
        if _NAMES.search(name) and not value.startswith(("/", "./")):
            values.add(value)
        elif _URIS.search(name) and "@" in value:
            know_url(value)
    return tuple(sorted(values))


@functools.lru_cache(maxsize=4)
def _pattern(environment: tuple[str, ...], count: int) -> re.Pattern[str] | None:
    """What finds the secrets. ``count`` of those that are known has one that became known meanwhile be looked for, too:
    they only get more.
    """
    with _lock:
        forms = set(_known)
    forms.update(form for value in environment for form in _forms(value))
    return re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True)))) if forms else None
