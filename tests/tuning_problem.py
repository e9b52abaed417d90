"""A task with a planted better instruction and pool size on a scripted model.

Run as a script, it is one worker of a study.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
from pathlib import Path
from typing import Any

import dspy
from conftest import ScriptedLM, is_fusor, prompt_of, system_of

from dspy_fusion.optimizers import OptunaTuner
from dspy_fusion.programs import Fusion

EXAMPLES = [dspy.Example(question=f"q{i}", answer="yes").with_inputs("question") for i in range(24)]
CAREFUL = "Be careful and take the right one of the candidates."
REST = ("temperature", "fusor_temperature", "shuffle")


def answer(request: Any) -> dict[str, str]:
    """A candidate is right two times in five; a fusor is right where it is told to be careful and sees a right
    candidate.
    """
    prompt = prompt_of(request)
    if is_fusor(request):
        return {"answer": "yes" if '"yes"' in prompt and "careful" in system_of(request) else "no"}
    (question,) = re.findall(r"\bq\d+\b", prompt)
    return {"answer": "yes" if random.Random(f"{request.config.seed} {question}").random() < 0.4 else "no"}


def exact(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> bool:
    return prediction.answer == example.answer


def program(n: int = 1) -> Any:
    fusion = Fusion(dspy.Predict("question -> answer"), n=n)
    fusion.n.search = (1, 6)
    return fusion


def tuner(folder: Path | str, metric: Any = exact, **options: Any) -> Any:
    """An ``OptunaTuner`` for a small study in a folder, or in the storage of a URL."""
    storage = str(folder) if "://" in str(folder) else f"sqlite:///{folder}/tuning.db"
    given = {"trials": 6, "instructions": [CAREFUL], "exclude": REST, "num_threads": 1, "storage": storage, **options}
    return OptunaTuner(metric, **given)


def worker(storage: str, folder: Path, name: str, kill_at: int) -> None:
    """Runs a study, keeps a line per scoring, and kills itself before scoring number ``kill_at``."""
    log = folder / f"{name}.log"

    def metric(example: dspy.Example, prediction: dspy.Prediction) -> bool:
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        log.write_text("\n".join([*lines, example.question]))
        return exact(example, prediction)

    dspy.configure(lm=ScriptedLM(answer))
    tuned = tuner(storage, metric).compile(program(), valset=EXAMPLES)
    tuned.tuning_report.save(folder / f"{name}.json")


if __name__ == "__main__":
    worker(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
