"""TRL's trainers take the exported files as they are: one step each, on a model of a few hundred weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.synthesis.export import export
from dspy_fusion.experiments.synthesis.training_rows import Shape

trl: Any = pytest.importorskip("trl")
datasets: Any = pytest.importorskip("datasets")
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = {text: i for i, text in enumerate(["<unk>", "</s>", "<pad>", *map(chr, range(32, 127))])}
    characters = Tokenizer(models.WordLevel(letters, unk_token="<unk>"))
    characters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made = PreTrainedTokenizerFast(tokenizer_object=characters, unk_token="<unk>", eos_token="</s>", pad_token="<pad>")
    made.chat_template = TEMPLATE
    return made


def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=98, max_position_embeddings=2048, **size))


def settings(folder: Path) -> dict[str, Any]:
    quiet = {"report_to": [], "save_strategy": "no", "disable_tqdm": True}
    return {
        "output_dir": str(folder / "trained"),
        "max_steps": 1,
        "use_cpu": True,
        "bf16": False,
        "max_length": None,
        **quiet,
    }


def rows_of(scene: Any, shape: Shape) -> Any:
    made = export(scene.folder / "out", shape)
    return datasets.load_dataset(
        "json", data_files=str(made.file), split="train", cache_dir=str(scene.folder / "cache")
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_conversations_train(scene: Any, tokenizer: Any) -> None:
    scene.run()
    for name in ("sft", "aft"):
        arguments = trl.SFTConfig(**settings(scene.folder))
        trainer = trl.SFTTrainer(
            model=model(), args=arguments, train_dataset=rows_of(scene, Shape(name)), processing_class=tokenizer
        )
        assert trainer.train().global_step == 1


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("reader", ["trl", "llama-factory"])
def test_pairs_train(scene: Any, tokenizer: Any, reader: str) -> None:
    scene.run()
    pairs = rows_of(scene, Shape("preference", reader=reader))
    arguments = trl.DPOConfig(**settings(scene.folder))
    trainer = trl.DPOTrainer(
        model=model(), ref_model=model(), args=arguments, train_dataset=pairs, processing_class=tokenizer
    )
    assert trainer.train().global_step == 1
