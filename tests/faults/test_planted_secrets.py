"""Secrets that a server echoes, or that stand in an address, are in nothing that a run leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

KEY, PASSWORD, TRACKING = "sk-planted-4f9b2c7d8e1a", "planted-pass-77x", "planted-track-31y"
COMMANDS = {
    "compare": ["compare", "run.toml", "--out", "runs/c", "--debug"],
    "tune": ["tune", "tune.toml", "--out", "runs/t", "--debug"],
    "synthesize": ["synthesize", "synthesize.toml", "--out", "runs/s", "--debug"],
}
FILES = {
    "models.toml": """
[echo]
model = "hosted_vllm/echo"
address = "http://me:{password}@127.0.0.1:{port}/v1"
key = "PLANTED"
[refusing]
model = "hosted_vllm/refusing"
address = "http://127.0.0.1:{port}/v1"
key = "PLANTED"
[failing]
model = "hosted_vllm/failing"
address = "http://127.0.0.1:{port}/v1"
key = "PLANTED"
timeout = 5
""",
    "run.toml": """
task = "worksheets"
examples = 2
n = 3
[pools]
default = ["echo", "refusing", "failing"]
[[strategy]]
name = "vote"
program = "vote"
pool = "default"
[[strategy]]
name = "fusion"
program = "fusion"
pool = "default"
fusor = "refusing"
""",
    "tune.toml": """
task = "worksheets"
examples = 2
held_out = 2
trials = 2
[pools]
default = ["echo", "refusing"]
[program]
program = "fusion"
pool = "default"
fusor = "echo"
n = 2
""",
    "synthesize.toml": """
teachers = ["echo", "refusing", "failing"]
[fusion]
fusor = "echo"
[prompts]
file = "prompts.jsonl"
column = "prompt"
""",
    "prompts.jsonl": '{{"prompt": "Say something about rivers."}}\n{{"prompt": "Say something about hills."}}\n',
}


class _Echo(BaseHTTPRequestHandler):
    """Shows each caller its own key: in answers, in a 401 and in a 500."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = f"you sent Authorization: {self.headers['Authorization']} to {self.headers['Host']}"
        text = f"[[ ## answers ## ]]\n(a) 1 + 1 = 2 {said}\n\n[[ ## completed ## ]]\n"
        message = {"role": "assistant", "content": text}
        content: dict[str, Any] = {
            "id": "x",
            "object": "chat.completion",
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6},
        }
        status = {"refusing": 401, "failing": 500}.get(body["model"], 200)
        answer = json.dumps(content if status == 200 else {"error": {"message": said, "headers": dict(self.headers)}})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@pytest.mark.parametrize("command", COMMANDS)
def test_no_secret_is_left_anywhere(command: str, port: int, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.format(port=port, password=PASSWORD))
    tracking = f"http://me:{TRACKING}@127.0.0.1:1"
    environment = os.environ | {"PLANTED": KEY, "MLFLOW_TRACKING_URI": tracking if command == "tune" else ""}
    line = [sys.executable, "-m", "dspy_fusion.experiments", *COMMANDS[command]]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, timeout=300)
    (tmp_path / "models.toml").unlink()
    written = {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    written |= {"stdout": done.stdout, "stderr": done.stderr}
    assert any(b"[redacted]" in content for content in written.values()), done.stderr[-2000:]
    leaks = [
        f"{name}: ...{content[max(0, content.find(secret.encode()) - 80) :][:160]!r}"
        for name, content in written.items()
        for secret in (KEY, PASSWORD, TRACKING)
        if secret.encode() in content
    ]
    assert leaks == []
