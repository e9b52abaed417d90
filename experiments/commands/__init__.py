"""The commands: what each is called and what it is for.

Each is a module of its own, imported only when it is the one that runs.

A command's module has ``add_arguments(parser)`` and ``run(arguments, console, log)``, which returns the exit code.
"""

from __future__ import annotations

COMMANDS = {
    "compare": "compare strategies on a task",
    "demo": "compare strategies on the embedded models and tune one, in minutes",
    "report": "make a run's tables, figures and page again",
    "tune": "tune a program's prompts and numbers",
    "sync": "write to MLflow what is missing there",
    "models": "list the model catalogue",
    "bank": "import recorded generations, and see what they say without a model",
    "diagnose": "look at a few examples before money is spent on many",
    "tasks": "list the tasks, or describe one",
    "synthesize": "make training data from prompts and a pool of teachers, and export it",
    "analyse": "what width, depth, proposals, training targets and compute do",
    "finetune": "train a model to write one answer from several",
    "serve": "serve a saved program or embedded models as an OpenAI-compatible endpoint",
    "judge-check": "measure how far a judge can be trusted, on pairs of which the better answer is known",
    "win-rates": "win rates against a baseline, as judged and at equal length",
}
"""Names and one-line descriptions; the module of ``judge-check`` is ``judge_check``."""

EXTRAS = {"finetune": "experiments,finetune", "serve": "serve", "synthesize": "experiments,synthesize"}
"""The extras that a command needs, where they are others than ``experiments``."""
