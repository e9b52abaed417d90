"""A scene for synthesis: prompts in a file, scripted models in a real catalogue, and a folder to work in."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_fusion.experiments.synthesis.part_files import rows_in_order
from dspy_fusion.experiments.synthesis.recipe import Recipe
from dspy_fusion.experiments.synthesis.row_maker import RowMaker
from dspy_fusion.experiments.synthesis.synthesis import Synthesis, prepare
from dspy_fusion.experiments.synthesis.synthesis_config import SynthesisConfig
from dspy_fusion.experiments.synthesis.synthesized_rows import Row
from dspy_fusion.serving.catalogue.model_entry import ModelEntry, Price
from dspy_fusion.serving.catalogue.models import ModelCatalogue

scripted = importlib.import_module(
    "conftest"
)  # the one two folders up; a checker would take `import conftest` for this very file
TEACHERS = ("one", "two")


class ScriptedEntry(ModelEntry):
    """A catalogue's table whose model is scripted."""

    answer: Callable[[Any], str]

    def lm(self, *, cache: bool = False, **sampling: Any) -> Any:
        return scripted.ScriptedLM(lambda request: self.answer(request), name=self.model)


class Scene:
    """Prompts, models by name, and the requests that they got."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.requests = folder, []
        entries: dict[str, ModelEntry] = {}
        for name in (*TEACHERS, "fusor", "judge"):
            entries[name] = ScriptedEntry(f"scripted/{name}", price=Price(1.0, 2.0))
        self.catalogue = ModelCatalogue(entries)
        for name in TEACHERS:
            self.answers(
                name, lambda request, name=name: f"{name} says {scripted.prompt_of(request)} {request.config.seed}"
            )
        self.answers("fusor", lambda request: f"fused: {scripted.prompt_of(request)}")
        self.prompts(*(f"prompt {i}" for i in range(6)))

    def answers(self, name: str, answer: Callable[[Any], str]) -> None:
        """Has a model answer by a function of the request."""

        def noted(request: Any) -> str:
            self.requests.append((name, request))
            return answer(request)

        object.__setattr__(self.catalogue.entries[name], "answer", noted)

    def prompts(self, *texts: Any) -> None:
        self.file.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))

    @property
    def file(self) -> Path:
        return self.folder / "prompts.jsonl"

    def config(self, **changes: Any) -> SynthesisConfig:
        """Two teachers and a fusor, without the gates that would look at what the scripts say."""
        table = {
            "prompts": {"file": str(self.file)},
            "teachers": list(TEACHERS),
            "fusion": {"fusor": "fusor"},
            "concurrency": 3,
        }
        gates = {"language": False, "near_duplicates": 0}
        return SynthesisConfig.parse({**table, "gates": gates, "shard_rows": 4, **changes})

    def prepare(self, out: str = "out", *, retry_failed: bool = False, **changes: Any) -> Synthesis:
        return prepare(self.config(**changes), self.catalogue, self.folder / out, retry_failed=retry_failed)

    def run(self, out: str = "out", *, retry_failed: bool = False, **changes: Any) -> list[Row]:
        """Runs a synthesis to its end and returns its rows."""
        synthesis = self.prepare(out, retry_failed=retry_failed, **changes)
        try:
            assert synthesis.go_on(lambda row: None)
            return list(synthesis.shards.read())
        finally:
            synthesis.close()

    def maker(self, system: str = "", **changes: Any) -> RowMaker:
        return RowMaker(Recipe(self.config(**changes), self.catalogue, system))

    def written(self, out: str = "out") -> list[Row]:
        """The rows that are there, finished or not."""
        files = [*(self.folder / out).glob("rows-*.jsonl"), *(self.folder / out).glob("rows-*.part")]
        return [row for path in sorted(files) for row in rows_in_order(path)]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture
def fails() -> Callable[[Any], str]:
    def fail(request: Any) -> str:
        raise dspy.lm15.InvalidRequestError("no such model here")

    return fail


@pytest.fixture
def row() -> Callable[..., Row]:
    """Makes a row with an answer and nothing else."""
    return lambda index, answer="an answer", prompt="a prompt", **rest: Row(
        index, "here", prompt, "", 0, (), answer=answer, **rest
    )
