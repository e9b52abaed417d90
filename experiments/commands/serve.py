"""``dspy-fusion serve``: a saved program, or this machine's models, behind OpenAI's protocols.

The program comes from a file, from a study's or a fine-tuning's folder (``serve
runs/tune-worksheets-fusion-1a2b3c4d``), or from an MLflow run (``serve --run ID``); embedded and local models go by
name (``serve --models embedded/aft,qwen2.5-0.5b``).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import ModelCatalogue, load_models

from ..runs.served import program_of_run, served_models, served_program, with_models

_LIMITS = {
    "max_body_bytes": ("body_bytes", int, "size of a request (default: 4 MiB)"),
    "max_running": ("running", int, "requests worked on at once (default: 32)"),
    "max_waiting": ("waiting", int, "requests that wait for their turn; more get a 429 (default: 64)"),
    "max_answers": ("answers", int, "answers to one request, its n (default: 16)"),
    "time_limit": ("seconds", float, "seconds from a request to the end of its answer (default: 600)"),
    "max_connections": ("connections", int, "clients that may be connected (default: 2048)"),
    "grace": ("grace_seconds", float, "seconds in which begun answers are finished after SIGTERM (default: 30)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is served, where, and within which limits."""
    parser.add_argument(
        "program",
        nargs="?",
        type=Path,
        help="a saved program (.json), the folder of a study or a fine-tuning, or a whole program that DSPy saved",
    )
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="read a whole program of your own, a folder with a pickle; reading one runs what its writer put there",
    )
    parser.add_argument(
        "--models", default="", help="embedded or local models to serve bare, separated by commas; or a models.toml"
    )
    parser.add_argument("--models-file", type=Path, help="a models.toml, where the program's models are")
    parser.add_argument("--lm", default="", help="the model that draws the program's candidates")
    parser.add_argument("--fusor-lm", default="", help="the model that writes its answers (default: its own, or --lm)")
    parser.add_argument("--run", default="", help="an MLflow run that holds a program")
    parser.add_argument("--tracking-uri", default="", help="the MLflow store of --run (default: MLFLOW_TRACKING_URI)")
    parser.add_argument(
        "--factory", default="", help="module:function that makes the program whose state the file holds"
    )
    parser.add_argument("--name", default="", help="what clients call the program")
    parser.add_argument(
        "--answer-field", help="the program's output that is the answer's text (default: the only one, or 'answer')"
    )
    parser.add_argument("--host", default="127.0.0.1", help="any other address needs a key in DSPY_FUSION_API_KEY")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    for option, (_, kind, purpose) in _LIMITS.items():
        parser.add_argument(f"--{option.replace('_', '-')}", type=kind, help=purpose)


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Serves until it is stopped."""
    from dspy_fusion.serving.endpoint.request_limits import Limits
    from dspy_fusion.serving.endpoint.server import key_for, serve

    key_for(arguments.host)  # before models are loaded
    given = {
        name: getattr(arguments, option)
        for option, (name, _, _) in _LIMITS.items()
        if getattr(arguments, option) is not None
    }
    names = [name.strip() for name in arguments.models.split(",") if name.strip()]
    file = arguments.models_file
    if len(names) == 1 and names[0].endswith(".toml"):
        file, names = Path(names[0]), []
    catalogue = load_models(file)
    programs = [
        with_models(program, catalogue, lm=arguments.lm, fusor_lm=arguments.fusor_lm)
        for program in _programs(arguments, catalogue)
    ]
    served = [*programs, *served_models(names, catalogue)]

    def ready(url: str) -> None:
        """Prints the address once requests are taken."""
        console.print(
            f"serving {', '.join(model.name for model in served)} at {url}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    serve(served, host=arguments.host, port=arguments.port, limits=Limits(**given), ready=ready)
    return 0


def _programs(arguments: argparse.Namespace, catalogue: ModelCatalogue) -> list:
    shown = {"name": arguments.name, "answer_field": arguments.answer_field}
    if arguments.run:
        if arguments.program is not None:
            raise ConfigurationError(
                f"give a program's file or --run, not both: {arguments.program} and {arguments.run}"
            )
        uri = arguments.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        if not uri:
            raise ConfigurationError(
                "--run needs --tracking-uri, such as sqlite:///runs/mlflow.db, or MLFLOW_TRACKING_URI"
            )
        return [program_of_run(arguments.run, uri, catalogue, **shown)]
    if arguments.program is None:
        return []
    options = {"factory": arguments.factory, "allow_pickle": arguments.allow_pickle}
    models = {"lm": arguments.lm, "fusor_lm": arguments.fusor_lm}
    return [served_program(arguments.program, catalogue, **options, **models, **shown)]
