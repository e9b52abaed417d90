#!/usr/bin/env python
"""Takes vLLM's command line and serves the checkpoint by transformers: a real server that needs no GPU.

Each start is a line in the file that the environment names, with the process id and the arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from dspy_fusion.serving.checkpoints.checkpoint_lm import checkpoint_lm
from dspy_fusion.serving.endpoint.request_limits import Limits
from dspy_fusion.serving.endpoint.served_model import ServedModel
from dspy_fusion.serving.endpoint.server import serve


def main() -> None:
    with open(os.environ["STAND_IN_VLLM_LOG"], "a") as log:
        log.write(json.dumps([os.getpid(), *sys.argv[1:]]) + "\n")
    if os.environ.get("STAND_IN_VLLM_FAILS"):
        sys.exit("ValueError: No available memory for the cache blocks")
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("model")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--enable-prefix-caching", action="store_true")
    parser.add_argument("--enable-lora", action="store_true")
    parser.add_argument("--lora-modules", default="")
    parser.add_argument("--max-lora-rank", type=int, default=16)
    parser.add_argument("--max-model-len", type=int, default=0)
    options = parser.parse_args()
    served = [ServedModel(options.served_model_name, checkpoint_lm(options.model, context=options.max_model_len))]
    if options.enable_lora:
        name, _, adapter = options.lora_modules.partition("=")
        served.append(ServedModel(name, checkpoint_lm(options.model, adapter=adapter, context=options.max_model_len)))
    serve(served, host=options.host, port=options.port, limits=Limits(), ready=lambda url: None)


if __name__ == "__main__":
    main()
