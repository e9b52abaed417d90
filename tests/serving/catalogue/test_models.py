from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dspy_fusion.programs.errors import ConfigurationError, MissingKey
from dspy_fusion.serving.catalogue.models import ModelCatalogue, load_models
from dspy_fusion.serving.embedded.embedded_model import MODEL_NAMES


def catalogue(folder: Path, text: str) -> ModelCatalogue:
    (folder / "models.toml").write_text(text)
    return load_models(folder / "models.toml")


def test_a_table_becomes_an_lm(tmp_path: Path) -> None:
    models = catalogue(
        tmp_path,
        '[qwen]\nmodel = "hosted_vllm/Qwen/Qwen3-8B"\naddress = "http://localhost:8000/v1"\nsampling = { top_k = 20,'
        " temperature = 0.7 }",
    )
    lm = models.lm("qwen", temperature=0.2)
    assert (lm.model, lm.engine, lm.cache) == ("hosted_vllm/Qwen/Qwen3-8B", "litellm", False)
    assert lm.kwargs["api_base"] == "http://localhost:8000/v1"
    assert (lm.kwargs["top_k"], lm.kwargs["temperature"]) == (20, 0.2)


def test_any_litellm_string_is_a_model() -> None:
    assert ModelCatalogue.builtin().lm("ollama_chat/qwen3", cache=True).cache is True


def test_an_embedded_model_is_taken_by_path(weights_path: Path) -> None:
    models = ModelCatalogue.builtin()
    assert models.lm(str(weights_path)).model == models.lm(f"embedded/{weights_path}", temperature=0.5).model
    assert models.entry("folder/tiny.safetensors").is_embedded


def test_the_builtin_models_are_in_every_catalogue(tmp_path: Path) -> None:
    models = catalogue(tmp_path, '[aft]\nmodel = "openai/mine"\noverride = true\n[other]\nmodel = "openai/other"')
    assert ModelCatalogue.builtin().names == MODEL_NAMES
    assert models.names == (*MODEL_NAMES, "other")
    assert models.entry("aft").model == "openai/mine"


def test_prices_are_per_million_tokens(tmp_path: Path) -> None:
    models = catalogue(tmp_path, '[m]\nmodel = "openai/m"\nprice = { input = 0.5, output = 2 }')
    assert models.price("m").cost_usd(1_000_000, 500_000) == 1.5
    assert models.price("sft").cost_usd(1000, 1000) == 0
    assert models.prices("m", "sft") == {"openai/m": (0.5, 2), models.lm("sft").model: (0.0, 0.0)}


def test_the_key_is_read_from_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = catalogue(tmp_path, '[m]\nmodel = "openai/m"\nkey = "DSPY_FUSION_TEST_KEY"')
    with pytest.raises(MissingKey, match="set the environment variable DSPY_FUSION_TEST_KEY"):
        models.lm("m")
    monkeypatch.setenv("DSPY_FUSION_TEST_KEY", "secret")
    assert models.lm("m").kwargs["api_key"] == "secret"


def test_a_provider_key_does_not_go_to_another_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    lm = catalogue(tmp_path, '[m]\nmodel = "openai/m"\naddress = "http://elsewhere/v1"').lm("m")
    assert lm.kwargs["api_key"] != "secret"


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"'jugde'; did you mean 'judge'[?] known are plus, minus"):
        ModelCatalogue.builtin().lm("jugde")


def test_the_catalogue_of_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_models() is ModelCatalogue.builtin()
    catalogue(tmp_path, '[here]\nmodel = "openai/here"')
    assert "here" in load_models().names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[m\n", "is no TOML"),
        ("m = 3", "m is 3; a model is a table"),
        (
            '[m]\nmodel = "openai/m"\nadress = "http://x"',
            "unknown key 'adress'; allowed are model, address, addresses, engine",
        ),
        ('[m]\nmodel = "openai/m"\naddresses = []', r"addresses is \[\]; give a list of URLs"),
        ('[m]\nmodel = "openai/m"\naddresses = "http://x"', "addresses is 'http://x'; give a list of URLs"),
        ('[m]\nmodel = "openai/m"\naddress = ["http://x", "y"]', "address is 'y'; give a URL"),
        (
            '[m]\nmodel = "openai/m"\naddress = ["http://x", "http://x"]',
            "has 'http://x' twice; write each address once",
        ),
        ('[m]\nmodel = "openai/m"\naddress = "http://x"\naddresses = ["http://y"]', "has address and addresses"),
        ('[m]\nmodel = "openai/m"\nmax_concurrency = 0', "max_concurrency must be a whole number from 1, but is 0"),
        ('[m]\nmodel = "openai/m"\ntimeout = 0', "timeout must be a positive number, but is 0"),
        ('[m]\nmodel = "openai/m"\ngpus = "two"', "gpus must be a positive number, but is 'two'"),
        ('[m]\nmodel = "openai/m"\nfallback = "other"', r"\[m\] fallback is 'other'; known are plus"),
        ('[m]\nmodel = "openai/m"\nfallback = "m"', "falls back on itself: m -> m; leave out one fallback"),
        ("[m]", "model is ''; give a provider"),
        ('[m]\nmodel = "gpt"', "model is 'gpt'; give a provider"),
        ("[m]\nmodel = 3", "model is 3; give a provider"),
        ('[m]\nmodel = "openai/m"\naddress = "localhost"', "address is 'localhost'; give a URL"),
        ('[m]\nmodel = "openai/m"\nengine = "fast"', "engine is 'fast'; choose one of litellm, native"),
        ('[m]\nmodel = "openai/m"\nkey = "sk-abc123"', "key must name an environment variable.* never write a key"),
        ('[m]\nmodel = "openai/m"\ncontext = 0', "context must be a whole number from 1, but is 0"),
        ('[m]\nmodel = "openai/m"\nprice = 3', "price is 3; write"),
        ('[m]\nmodel = "openai/m"\nprice = { input = -1 }', "price is"),
        (
            '[m]\nmodel = "openai/m"\nsampling = { temprature = 1 }',
            r"\[m\] sampling has no option 'temprature'; did you mean 'temperature'\?",
        ),
        ('[m]\nmodel = "openai/m"\nsampling = 1', "sampling is 1; write it as a table"),
        ('[m]\nmodel = "embedded/aft"\naddress = "http://x"', "runs in this process; leave out address"),
    ],
)
def test_a_wrong_table_is_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        catalogue(tmp_path, text)
    assert "models.toml" in str(caught.value)
    assert "sk-abc123" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_catalogue_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the model catalogue nowhere/models\.toml: No such file"):
        load_models("nowhere/models.toml")


def test_the_native_engine_refuses_what_it_would_drop(tmp_path: Path) -> None:
    models = catalogue(tmp_path, '[m]\nmodel = "hosted_vllm/m"\nengine = "native"')
    assert models.lm("m").engine == "lm15"
    with pytest.raises(ConfigurationError, match="does not send top_k; use engine"):
        models.lm("m", top_k=3)


def test_one_address_in_a_list_is_an_address(tmp_path: Path) -> None:
    models = catalogue(
        tmp_path,
        '[m]\nmodel = "openai/m"\naddresses = ["http://a/v1"]\n[r]\nmodel = "openai/m"\naddress = ["http://a/v1",'
        ' "http://b/v1"]',
    )
    assert models.lm("m").kwargs["api_base"] == "http://a/v1"
    assert models.entry("r").where == ("http://a/v1", "http://b/v1")
    assert "api_base" not in models.lm("r").kwargs


def test_an_entrys_timeout_reaches_the_lm(tmp_path: Path) -> None:
    assert catalogue(tmp_path, '[m]\nmodel = "openai/m"\ntimeout = 2.5').lm("m").kwargs["timeout"] == 2.5


def test_making_an_lm_does_not_import_litellm() -> None:
    script = (
        "import sys; from dspy_fusion.serving.catalogue.models import ModelCatalogue\n"
        "ModelCatalogue.builtin().lm('openai/m')\nassert 'litellm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


def test_a_builtin_name_is_taken_only_on_purpose(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\[aft\] has the name of a built-in model; .* override = true"):
        catalogue(tmp_path, '[aft]\nmodel = "openai/mine"')
    with pytest.raises(ConfigurationError, match=r"\[aft\] override must be true or false"):
        catalogue(tmp_path, '[aft]\nmodel = "openai/mine"\noverride = "yes"')
    assert catalogue(tmp_path, '[aft]\nmodel = "openai/mine"\noverride = true').overrides == ("aft",)


def test_a_file_found_in_the_working_directory_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address = "http://someone.example/v1"
    (tmp_path / "models.toml").write_text(
        f'[aft]\nmodel = "openai/mine"\naddress = "{address}"\nkey = "OPENAI_API_KEY"\noverride = true'
    )
    monkeypatch.chdir(tmp_path)
    load_models()
    load_models()
    assert [record.getMessage() for record in caplog.records] == [
        f"models are read from {tmp_path / 'models.toml'}; it overrides the built-in aft; "
        f"it sends OPENAI_API_KEY to {address}"
    ]
