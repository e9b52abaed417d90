"""What a diagnosis from Python returns: tables to print, a recommendation, a frame, a page."""

from __future__ import annotations

import html
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dspy_fusion.programs.extras import needs

from ..diagnoses.advice import Advice
from ..diagnoses.diagnosis import Diagnosis
from ..diagnoses.diagnosis_run import Finding
from ..diagnoses.spending import Spending
from ..presentation.safe_console import SafeConsole
from ..recordings.recording import RecordedQuestion
from ..runs.run_folder import RunFolder
from .diagnosis_workflow import show_finding

if TYPE_CHECKING:
    import pandas as pd

_WIDTH = 118


@dataclass(frozen=True, repr=False)
class DiagnosisResult:
    """A diagnosis; ``print(result)`` shows its tables, the recommendation with its reasons, and what is not known.

    Attributes:
        finding: everything that was found.
        run: the folder of the diagnosis.
        tracking_uri: of the MLflow store that was told; empty where none was.
    """

    finding: Finding
    run: RunFolder
    tracking_uri: str

    @property
    def advice(self) -> Advice:
        """What to do next, with how many candidates, why, and what cannot be known from this."""
        return self.finding.diagnosis.advice

    @property
    def diagnosis(self) -> Diagnosis:
        """All numbers; scores in [0, 1]."""
        return self.finding.diagnosis

    @property
    def spending(self) -> dict[str, Spending]:
        """What this look took, and what a comparison and a study would: estimates in calls, tokens and dollars."""
        return self.finding.spending

    @property
    def questions(self) -> tuple[RecordedQuestion, ...]:
        """The examples with their candidates, graded."""
        return self.finding.diagnosis.overview.pool.questions

    @property
    def folder(self) -> Path:
        """Where candidates, numbers, figure and page lie."""
        return self.run.path

    def to_pandas(self) -> pd.DataFrame:
        """One row a way of answering and number of candidates, unrounded: ``way``, ``kind``, ``n``, ``score`` with its
        interval, and with all candidates the ``gain`` over one answer of the best model with its interval.

        Raises:
            MissingExtra: pandas is not installed.
        """
        with needs("to_pandas()", "tasks"):
            import pandas as pd
        measured, gains = self.diagnosis.measured, self.diagnosis.prospects.gains
        rows = []
        for way in measured.ways:
            curve = measured.curves[way.name]
            for n, estimate in enumerate(curve, 1):
                row = {"way": way.name, "kind": way.kind, "n": n, "score": estimate.mean}
                row |= {"score_low": estimate.low, "score_high": estimate.high, "examples": estimate.n}
                if n == len(curve):
                    gain = gains[way.name]
                    row |= {"gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high}
                rows.append(row)
        return pd.DataFrame(rows)

    def save_report(self, path: str | Path) -> Path:
        """Writes the page, one HTML file that needs no network, to a path; returns the path."""
        return Path(shutil.copyfile(self.run.page, Path(path).expanduser()))

    def __str__(self) -> str:
        text = io.StringIO()
        console = SafeConsole(file=text, width=_WIDTH, color_system=None)
        show_finding(self.finding, console, console)
        return text.getvalue().rstrip()

    def __repr__(self) -> str:
        return f"<diagnosis in {self.folder}: {self.advice.strategy}, N = {self.advice.n}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"
