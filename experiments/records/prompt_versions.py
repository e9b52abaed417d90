"""Instructions in MLflow's registry of prompts: each text once as a version, and runs that are linked to theirs.

Which version a text is stands in a tag of the prompt, by the text's digest: the registry itself finds versions by
number only, and not all of its stores can search them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LINKS = "mlflow.linkedPrompts"  # where MlflowClient itself keeps them


def link_prompts(client: MlflowClient, run_id: str, experiment: str, instructions: Mapping[str, str]) -> None:
    """Registers a run's instructions as far as they are new, and links the run to their versions.

    Args:
        client: of the store.
        run_id: of the run.
        experiment: its name, with which the prompts' names begin.
        instructions: by the predictor's path.
    """
    for path, text in instructions.items():
        name, tag = prompt_name(experiment, path), _tag(text)
        if (version := _version(client, name, tag)) is None:
            last = client.get_prompt_version(name, "latest") if client.get_prompt(name) else None
            if last is None or last.template != text:  # else it was registered, and then the store was gone
                last = client.register_prompt(name, text, tags={"run_id": run_id})
            version = str(last.version)
            client.set_prompt_tag(name, tag, version)
        _link(client, run_id, {"name": name, "version": version})


def _link(client: MlflowClient, run_id: str, version: Mapping[str, str]) -> None:
    """What ``MlflowClient.link_prompt_version_to_run`` does, which looks for the run in another store than its own."""
    known = json.loads(client.get_run(run_id).data.tags.get(_LINKS, "[]"))
    if version not in known:
        client.set_tag(run_id, _LINKS, json.dumps([*known, version]))


def prompt_name(experiment: str, path: str) -> str:
    """What a predictor's instructions are called in the registry.

    Args:
        experiment: the experiment's name, so that studies of one kind share their prompts.
        path: of the predictor in its program.
    """
    return re.sub(r"[^\w.-]", "-", f"{experiment}-{path}")


def _version(client: MlflowClient, name: str, tag: str) -> str | None:
    prompt = client.get_prompt(name)
    return prompt.tags.get(tag) if prompt else None


def _tag(text: str) -> str:
    return f"text-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
