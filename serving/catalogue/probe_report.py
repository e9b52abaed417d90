"""What a probe found out about an endpoint, kept in a small file by fingerprint,
and what follows for a model's settings.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.redaction import without_secrets

from .model_entry import ModelEntry

_BAD = ("ignored", "refused", "not sent")
_SAMPLING = ("seed", "logprobs", "temperature", "top_p", "top_k", "min_p")


@dataclass(frozen=True)
class Finding:
    """What became of one option.

    Attributes:
        verdict: ``honoured``, ``ignored``, ``refused`` (by the server), ``not sent`` (by the client), ``unclear``, or
            ``failed``.
        note: what was seen.
        tokens: of the context length, how many tokens are taken, where that is known.
    """

    verdict: str
    note: str = ""
    tokens: int | None = None


@dataclass(frozen=True)
class ProbeReport:
    """All findings about one endpoint.

    Attributes:
        model: the litellm model string.
        address: where it answered; empty for the provider's own address or this process.
        engine: through which client.
        when: the date, as ``YYYY-MM-DD``.
        findings: by option.
    """

    model: str
    address: str
    engine: str
    when: str
    findings: Mapping[str, Finding]

    @property
    def has_answer(self) -> bool:
        """Whether the endpoint answered at all; where it did not, nothing is known of it."""
        return self.findings.get("answers", Finding("failed")).verdict == "honoured"

    @property
    def fingerprint(self) -> str:
        """What tells this endpoint from others."""
        return fingerprint(self.model, self.address, self.engine)


def fingerprint(model: str, address: str, engine: str) -> str:
    """A short digest of what tells one endpoint from another."""
    return hashlib.sha256(json.dumps([model, address, engine]).encode()).hexdigest()[:16]


def probe_file() -> Path:
    """Where findings are kept: ``dspy-fusion/probes.json`` in ``$XDG_CACHE_HOME``, or else in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dspy-fusion" / "probes.json"


def keep_report(report: ProbeReport) -> Path:
    """Keeps a report in the place of an earlier one of the same endpoint; returns the file.

    Raises:
        OSError: the file cannot be written.
    """
    path = probe_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    reports = _read(path) | {report.fingerprint: asdict(report)}
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(without_secrets(json.dumps(reports, indent=1, sort_keys=True)) + "\n", encoding="utf-8")
    fresh.replace(path)
    return path


def kept_report(model: str, address: str, engine: str) -> ProbeReport | None:
    """The latest report of an endpoint, or None.

    A file that cannot be read is one without reports, for a probe can be made again.
    """
    row = _read(probe_file()).get(fingerprint(model, address, engine))
    try:
        findings = {name: Finding(**said) for name, said in (row or {})["findings"].items()}
        return ProbeReport(**{**(row or {}), "findings": findings})
    except (TypeError, KeyError, AttributeError):
        return None


def complaints(entry: ModelEntry, reports: list[ProbeReport]) -> list[str]:
    """Which of a model's settings an endpoint does not follow, one sentence each."""
    said = []
    for report in reports:
        at = f" at {report.address}" if report.address else ""
        for name in [*entry.sampling, *([] if "seed" in entry.sampling else ["seed"])]:
            finding = report.findings.get(name)
            if finding is not None and finding.verdict in _BAD:
                setting = "the seed of each candidate" if name == "seed" else f"{name} = {entry.sampling[name]!r}"
                said.append(f"{entry.model}{at}: {setting} is {finding.verdict} ({finding.note})")
        takes = report.findings.get("context", Finding("unclear")).tokens
        if takes and entry.context and entry.context > takes:
            said.append(f"{entry.model}{at}: context = {entry.context}, but the server takes {takes} tokens")
    return said


def kept_complaints(entry: ModelEntry) -> list[str]:
    """As :func:`complaints`, from what earlier probes found out."""
    reports = (kept_report(entry.model, address, entry.engine) for address in entry.where or ("",))
    said = complaints(entry, [report for report in reports if report is not None])
    if entry.one_request and not _honours_n(entry):
        at = f" at {entry.address}" if entry.address else ""
        said.append(
            f"{entry.model}{at}: one_request = true waits for a probe that finds n honoured; run dspy-fusion models"
            " --probe"
        )
    return said


def kept_refusals(entry: ModelEntry) -> list[str]:
    """Sampling options that earlier probes found to be taken at none of a model's addresses."""
    reports = [kept_report(entry.model, address, entry.engine) for address in entry.where or ("",)]
    by_report = [
        {name for name, finding in report.findings.items() if finding.verdict in ("refused", "not sent")}
        for report in reports
        if report is not None
    ]
    refused = set.intersection(*by_report) if len(by_report) == len(reports) else set[str]()
    return [name for name in _SAMPLING if name in refused]


def draws_together(entry: ModelEntry) -> bool:
    """Whether candidates are drawn in one request.

    It is wanted, nothing stands in the way, and the kept probe found ``n`` honoured.
    """
    is_wanted = entry.price.input > 0 if entry.one_request is None else entry.one_request
    return is_wanted and not entry.why_not_together and _honours_n(entry)


def _honours_n(entry: ModelEntry) -> bool:
    report = kept_report(entry.model, entry.address, entry.engine)
    return report is not None and report.findings.get("n", Finding("unclear")).verdict == "honoured"


def _read(path: Path) -> dict[str, dict]:
    try:
        content = read_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
