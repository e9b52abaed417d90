"""Programs of the command line, where no file names them: ``--program``, ``--models``, ``--fusor`` instead of tables.

A comparison takes several programs; tuning and fine-tuning take one, their ``[program]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError

from ..tasks.named_objects import is_named
from .command_options import names_in
from .comparison_config import StrategyConfig

_POOL = "all"


def add_program_option(parser: Any, *, several: bool) -> None:
    """Adds ``--program`` to an argument parser; ``several`` lets it be given more than once."""
    how: dict[str, Any] = {"action": "append"} if several else {}
    said = "[NAME=]MODULE:FACTORY" if several else "PROGRAM"
    text = (
        "a program of your own, a dspy.Module or a function that returns one; may be given several times"
        if several
        else "what it works on: fusion, propose_aggregate, vote, ..., or module:factory of your own (default: fusion)"
    )
    parser.add_argument("--program", dest="own_program", metavar=said, help=text, **how)


def add_pool_options(parser: Any, *, scorer: bool = True) -> None:
    """Adds the models of one program, its ``n``, and its scorer where the command has no other."""
    parser.add_argument("--models", dest="program_pool", help="the models that propose, separated by commas")
    parser.add_argument("--fusor", dest="program_fusor", default="", help="the model that writes the fused answer")
    parser.add_argument("--n", dest="program_n", type=int, help="how many candidates it begins with")
    if scorer:
        parser.add_argument("--scorer", dest="program_scorer", default="", help="of best_of_n: what ranks candidates")
        parser.add_argument("--scorer-model", dest="program_judge", default="", help="of best_of_n: the model behind")


def own_strategies(texts: Sequence[str]) -> tuple[StrategyConfig, ...]:
    """A strategy for each ``[name=]module:factory``; without a name it is called as the factory is.

    Raises:
        ConfigurationError: a text is no such thing.
    """
    strategies = []
    for text in texts:
        name, sign, program = text.partition("=")
        name, program = (name.strip(), program.strip()) if sign else (text.rpartition(":")[2], text)
        if not (name and is_named(program)):
            raise ConfigurationError(f"--program takes module:factory or name=module:factory, but got {text!r}")
        strategies.append(StrategyConfig(name, program))
    return tuple(strategies)


def program_tables(arguments: Any, *, example: str) -> dict[str, Any]:
    """The ``[program]`` and ``[pools]`` that the options of a command say.

    Args:
        arguments: what was parsed.
        example: what a call may look like, for the message.

    Raises:
        ConfigurationError: nothing says which models answer.
    """
    program = arguments.own_program or "fusion"
    table: dict[str, Any] = {"program": program}
    pool = names_in(arguments.program_pool or "")
    if not pool and not is_named(program):
        raise ConfigurationError(f"nothing says which models answer; give a configuration file, or as in: {example}")
    named = {"fusor": "program_fusor", "n": "program_n", "scorer": "program_scorer", "judge": "program_judge"}
    table |= {key: value for key, option in named.items() if (value := getattr(arguments, option, None))}
    if not pool:
        return {"program": table}
    return {"program": {**table, "pool": pool[0] if len(pool) == 1 else _POOL}, **_pools(pool)}


def refuse_both(arguments: Any) -> None:
    """Raises ``ConfigurationError`` where a file and options both say what is worked on."""
    options = [name for name in ("own_program", "program_pool") if getattr(arguments, name)]
    if options:
        shown = {"own_program": "--program", "program_pool": "--models"}[options[0]]
        raise ConfigurationError(f"give either a configuration file or {shown}, not both")


def _pools(pool: Sequence[str]) -> Mapping[str, Any]:
    return {"pools": {_POOL: list(pool)}} if len(pool) > 1 else {}
