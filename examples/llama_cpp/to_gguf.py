"""An embedded model as a GGUF file for llama.cpp: ``python to_gguf.py sft sft.gguf``; needs ``pip install gguf``."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

from dspy_fusion.serving.embedded.huggingface import to_huggingface

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "model.layers": "blk",
}


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="the name of a built-in model, or a .safetensors file")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(to_huggingface(options.model, folder), options.file)


def write(folder: Path, file: Path) -> None:
    """Writes a Hugging Face checkpoint of an embedded model as GGUF in float32."""
    config, writer = json.loads((folder / "config.json").read_text()), gguf.GGUFWriter(str(file), "llama")
    heads, width = config["num_attention_heads"], config["hidden_size"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(width)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    add_tokenizer(writer, folder, config)
    for name, weight in load_file(folder / "model.safetensors").items():
        if name.endswith(
            ("q_proj.weight", "k_proj.weight")
        ):  # llama.cpp turns neighbouring numbers, transformers the two halves
            weight = weight.reshape(heads, 2, width // heads // 2, width).swapaxes(1, 2).reshape(weight.shape)
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        writer.add_tensor(name, np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer: gguf.GGUFWriter, folder: Path, config: dict[str, Any]) -> None:
    """Adds the tokenizer: bytes without merges, and whole phrases as tokens of their own."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    texts = {number: text for text, number in tokenizer["model"]["vocab"].items()}
    kinds = dict.fromkeys(texts, gguf.TokenType.NORMAL)
    for added in tokenizer["added_tokens"]:
        texts[added["id"]] = added["content"]
        kinds[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([texts[i] for i in range(len(texts))])
    writer.add_token_types([kinds[i] for i in range(len(texts))])
    writer.add_token_merges(["Ġ Ġ"])  # an empty list is refused; this pair makes no token, so it is never merged
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)  # the template has it
    writer.add_add_space_prefix(False)
    template = (folder / "chat_template.jinja").read_text()
    writer.add_chat_template(template.replace("{% generation %}", "").replace("{% endgeneration %}", ""))


if __name__ == "__main__":
    main()
