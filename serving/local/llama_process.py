"""The process in which llama.cpp's server runs: ``python -m dspy_fusion.serving.local.llama_process``.

It reads its options as one line of JSON, says on which address it answers, and lives until its standard input ends,
which is when its owner closes it or dies, however that happens. It is a process of its own,
because a fault in llama.cpp would otherwise end its owner, too.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any


def main() -> None:
    """Runs the server until standard input ends."""
    options = json.loads(sys.stdin.readline())
    said = os.fdopen(os.dup(1), "w")  # llama.cpp may write to the standard output
    os.dup2(2, 1)
    try:
        server = _server(options)
    except Exception as error:  # noqa: BLE001 (told to the owner, which raises it)
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=said, flush=True)
        os._exit(1)
    print(json.dumps({"address": server.listening_address}), file=said, flush=True)
    sys.stdin.read()
    os._exit(0)


def _server(options: dict[str, Any]) -> Any:
    xllamacpp: Any = importlib.import_module("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = options["model"]
    parameters.n_ctx = options["context"] * options["parallel"]
    parameters.n_parallel = options["parallel"]
    parameters.hostnames, parameters.port = ["127.0.0.1"], options["port"]
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = options["threads"]
    parameters.n_gpu_layers = options["gpu_layers"]
    parameters.endpoint_metrics = True
    parameters.ui = False
    if options["chat_template"]:
        parameters.chat_template = options["chat_template"]
    parameters.lora_adapters = [_adapter(xllamacpp, path, scale) for path, scale in options["lora"]]
    return xllamacpp.Server(parameters)


def _adapter(xllamacpp: Any, path: str, scale: float) -> Any:
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = path, scale
    return adapter


if __name__ == "__main__":
    main()
