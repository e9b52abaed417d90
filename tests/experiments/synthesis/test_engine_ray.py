"""The Ray engine on a local Ray of one CPU: rows equal to the byte to the local engine's, and resumed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.synthesis.synthesis import Synthesis, prepare
from dspy_fusion.experiments.synthesis.synthesis_config import SynthesisConfig
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import load_models


def synthesis(out: Path, **changes: Any) -> Synthesis:
    table = {"prompts": {"task": "worksheets"}, "teachers": ["plus", "minus"], "fusion": {"fusor": "aft"}, "rows": 9}
    config = SynthesisConfig.parse({**table, "shard_rows": 4, "concurrency": 3, **changes})
    return prepare(config, load_models(), out, engine="ray")


def content(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(out.glob("rows-*.jsonl"))]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray: Any = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def test_rows_are_those_of_the_local_engine_and_an_interrupted_run_goes_on(tmp_path: Path, cluster: Any) -> None:
    local = synthesis(tmp_path / "local")
    assert local.go_on(lambda row: None)
    seen: list[int] = []

    def interrupt(row: Any) -> None:
        seen.append(row.index)
        if len(seen) == 4:
            raise KeyboardInterrupt

    first = synthesis(tmp_path / "ray")
    assert not first.go_on(interrupt, engine="ray")
    first.close()
    second = synthesis(tmp_path / "ray")
    assert second.shards.count == 4
    assert second.go_on(lambda row: seen.append(row.index), engine="ray")
    assert sorted(seen) == list(range(9))
    assert content(tmp_path / "ray") == content(tmp_path / "local")


def test_without_ray_the_extra_is_named(tmp_path: Path) -> None:
    try:
        import ray  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigurationError, match=r"--engine ray needs ray: pip install 'dspy-fusion\[ray\]'"):
            synthesis(tmp_path)
    else:
        pytest.skip("Ray is installed")
