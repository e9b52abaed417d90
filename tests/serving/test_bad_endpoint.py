from __future__ import annotations

from pathlib import Path

import pytest
from dspy.utils.exceptions import LMError
from switch_server import html_server

from dspy_fusion.serving.catalogue.models import load_models


@pytest.mark.parametrize("engine", ["native", "litellm"])
def test_a_port_that_answers_html_is_a_typed_error(engine: str, tmp_path: Path) -> None:
    with html_server() as address:
        path = tmp_path / "models.toml"
        path.write_text(f'[m]\nmodel = "hosted_vllm/m"\naddress = "{address}"\nengine = "{engine}"')
        with pytest.raises(LMError, match="<html>a router's login page"):
            load_models(path).lm("m")("hello")
