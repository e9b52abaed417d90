"""Saves a fusion of three embedded teachers as ``sheets.json``, for ``dspy-fusion serve sheets.json``:
``python make_program.py``.
"""

from __future__ import annotations

from dspy_fusion.experiments.tasks import load_task
from dspy_fusion.programs import Fusion
from dspy_fusion.serving import embedded_lm
from dspy_fusion.serving.endpoint.saved_program import save_program

task = load_task("worksheets")
teachers = [embedded_lm(name) for name in ("plus", "minus", "times")]
program = Fusion(task.program(task.instructions), n=6, lms=teachers, fusor_lm=embedded_lm("aft"))
save_program(program, "sheets.json", adapter=task.adapter())
