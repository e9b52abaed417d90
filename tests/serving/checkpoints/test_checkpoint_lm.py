"""Hugging Face checkpoints as models in this process, on a small real one."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dspy
import pytest
from waiting import wait_for

from dspy_fusion.programs import ConfigurationError, Fusion, PlainAdapter
from dspy_fusion.serving import ModelServer, checkpoint_lm
from dspy_fusion.serving.catalogue.models import load_models
from dspy_fusion.serving.embedded.embedded_lm import embedded_lm
from dspy_fusion.serving.embedded.huggingface import to_huggingface
from dspy_fusion.serving.embedded.token_sampling import Sampling
from dspy_fusion.serving.endpoint.saved_program import load_program, save_program

pytest.importorskip("peft", reason="peft is not installed: pip install 'dspy-fusion[finetune]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SHEETS = ["(a) 12 + 3\n(b) 70 - 4", "(a) 9 x 3", "(a) 5 + 6\n(b) 31 - 4\n(c) 7 x 2"]
TOLD = "Work out every part of the worksheet."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return to_huggingface("aft", tmp_path_factory.mktemp("base") / "aft")


def ask(lm: dspy.LM, sheet: str, **options: Any) -> str:
    messages = [{"role": "system", "content": TOLD}, {"role": "user", "content": sheet}]
    return lm(messages=messages, **options)[0]


def test_it_answers_as_the_same_weights_do_elsewhere(folder: Path) -> None:
    lm, same = checkpoint_lm(folder, max_tokens=60), embedded_lm("aft", max_tokens=60)
    for sheet in SHEETS:
        assert ask(lm, sheet, temperature=0.0) == ask(same, sheet, temperature=0.0)
    assert lm.model.startswith("checkpoint/aft@")


def test_a_seed_has_one_text_alone_and_in_a_batch(folder: Path) -> None:
    lm = checkpoint_lm(folder, max_tokens=40, temperature=1.5)
    wanted = [(sheet, seed) for sheet in SHEETS for seed in range(4)]
    alone = [ask(lm, sheet, seed=seed) for sheet, seed in wanted]
    with ThreadPoolExecutor(len(wanted)) as pool:
        together = list(pool.map(lambda one: ask(lm, one[0], seed=one[1]), wanted))
    assert together == alone
    assert len(set(alone)) > len(SHEETS)
    assert ask(lm, SHEETS[0], seed=1, top_k=1) == ask(lm, SHEETS[0], temperature=0.0)


def test_answers_end_where_they_are_told_to(folder: Path) -> None:
    lm = checkpoint_lm(folder, temperature=0.0)
    whole = ask(lm, SHEETS[2])
    assert ask(lm, SHEETS[2], stop=["(c)"]) == whole.partition("(c)")[0]
    message = lm(messages=[{"role": "user", "content": SHEETS[2]}], max_tokens=3)
    assert len(message[0]) < len(whole)
    with pytest.raises(Exception, match="maximum context length is 1024"):
        ask(lm, "(a) 1 + 1\n" * 400)
    with pytest.raises(Exception, match="checkpoint models do not support"):
        lm(messages=[{"role": "user", "content": "x"}], logprobs=True, max_tokens=5)


def test_it_is_copied_pickled_and_let_go(folder: Path) -> None:
    lm = checkpoint_lm(folder, max_tokens=40, temperature=0.0)
    before = ask(lm, SHEETS[1])
    assert ask(pickle.loads(pickle.dumps(lm)), SHEETS[1]) == before
    ModelServer("transformers").close()
    assert ask(lm.copy(), SHEETS[1]) == before


def test_it_can_be_asked_again_while_it_is_let_go(folder: Path) -> None:
    lm: Any = checkpoint_lm(folder)
    model = lm.engine.model
    prompt = model.prompt([{"role": "user", "content": SHEETS[0]}])
    is_held, goes_on = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        is_held.set()
        goes_on.wait(timeout=60)

    model.submit(prompt, Sampling(3)).add_done_callback(hold)
    assert is_held.wait(timeout=60)
    closing = threading.Thread(target=model.close, daemon=True)
    closing.start()
    wait_for(lambda: not model.is_loaded)
    again = model.submit(prompt, Sampling(3))
    time.sleep(0.2)
    goes_on.set()
    assert again.result(timeout=60).tokens <= 3
    closing.join(timeout=60)
    assert not closing.is_alive()
    assert model.is_loaded
    model.close()


def test_a_program_over_it_is_saved_by_its_folder(folder: Path, tmp_path: Path) -> None:
    lm = checkpoint_lm(folder, max_tokens=60)
    program = Fusion(dspy.Predict("worksheet -> answers"), n=2, lms=[lm], fusor_lm=lm)
    save_program(program, tmp_path / "x.json", adapter=PlainAdapter())
    again = load_program(tmp_path / "x.json", load_models())
    with dspy.context(adapter=again.adapter):
        assert again.program(worksheet=SHEETS[0]).answers == program(worksheet=SHEETS[0]).answers
    assert load_models().lm(f"checkpoint/{folder}").model == lm.model
    with pytest.raises(ConfigurationError, match="there is no folder 'nowhere/at-all' with a checkpoint"):
        load_models().lm("checkpoint/nowhere/at-all")


def test_other_weights_under_a_saved_model_are_refused(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    kept = pickle.dumps(checkpoint_lm(own))
    weights = own / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x01\x02\x03")
    with pytest.raises(ConfigurationError, match="was saved with weights"):
        pickle.loads(kept)


def test_adapters_are_laid_over_their_base(folder: Path, tmp_path: Path) -> None:
    adapter = adapters_over(folder, tmp_path / "run" / "adapter")
    over, alone = checkpoint_lm(folder, adapter=adapter, temperature=0.0), checkpoint_lm(folder, temperature=0.0)
    assert over.model != alone.model
    assert ask(over, SHEETS[0], max_tokens=20) != ask(alone, SHEETS[0], max_tokens=20)
    assert ask(checkpoint_lm(adapter, temperature=0.0), SHEETS[0], max_tokens=20) == ask(over, SHEETS[0], max_tokens=20)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: shutil.rmtree(path), "cannot load the checkpoint"),
        (lambda path: (path / "chat_template.jinja").unlink(), "has no chat template; give one"),
        (lambda path: (path / "model.safetensors").write_bytes(b"x" * 99), "cannot load the weights"),
        (lambda path: (path / "config.json").write_text("{"), "cannot load the checkpoint"),
    ],
)
def test_spoilt_folders_are_named(folder: Path, tmp_path: Path, spoil: Any, message: str) -> None:
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    spoil(own)
    with pytest.raises(Exception, match=message) as caught:
        ask(checkpoint_lm(own), SHEETS[0])
    assert len(str(caught.value).splitlines()) == 1


def test_wrong_options_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no LoRA adapters"):
        checkpoint_lm(folder, adapter=tmp_path)
    with pytest.raises(ConfigurationError, match="batch must be a whole number from 1, but got batch=0"):
        checkpoint_lm(folder, batch=0)
    with pytest.raises(ConfigurationError, match="server must be one of transformers, vllm"):
        ModelServer("tgi")  # type: ignore[arg-type]


def adapters_over(base: Path, folder: Path) -> Path:
    """Adapters that change what is said."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    settings = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings).save_pretrained(folder)
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == str(base)
    return folder


def test_other_weights_in_the_same_place_are_another_model(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "model"
    shutil.copytree(folder, place)
    before = checkpoint_lm(place, temperature=0.0, max_tokens=20)
    answer = ask(before, SHEETS[0])
    to_huggingface("judge", place)
    after = checkpoint_lm(place, temperature=0.0, max_tokens=20)
    assert after.model != before.model
    assert ask(after, SHEETS[0]) != answer
