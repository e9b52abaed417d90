"""Secrets that a server echoes, or that stand in an address, are in nothing that a run leaves behind."""

from __future__ import annotations

import base64
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
STORAGE = "planted-store-52z"
COMMANDS = {
    "compare": ["compare", "run.toml", "--out", "runs/c", "--debug"],
    "tune": ["tune", "tune.toml", "--out", "runs/t", "--debug"],
    "synthesize": ["synthesize", "synthesize.toml", "--out", "runs/s", "--debug"],
    "finetune": ["finetune", "finetune.toml", "--out", "runs/f", "--debug"],
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
    "finetune.toml": """
task = "worksheets"
base = "embedded/aft"
examples = 8
held_out = 2
proposers = "echo"
draws = 2
keep = 2
adapter = "plain"
program = {{ program = "fusion", pool = "echo", fusor = "echo", n = 2 }}
training = {{ lora = false, batch_size = 4, micro_batch = 4, log_every = 1, threads = 1, device = "cpu" }}
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
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@pytest.mark.parametrize("command", COMMANDS)
def test_no_secret_is_left_anywhere(command: str, port: int, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.format(port=port, password=PASSWORD))
    if command == "finetune":
        pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
    tracking = f"http://me:{TRACKING}@127.0.0.1:1" if command in ("tune", "finetune") else ""
    written = left_by(tmp_path, COMMANDS[command], MLFLOW_TRACKING_URI=tracking)
    assert any(b"[redacted]" in content for content in written.values()), written["stderr"][-2000:]
    assert leaks_in(written) == []


@pytest.mark.parametrize(
    ("place", "debug"),
    [
        ("storage", []),
        ("storage", ["--debug"]),
        ("bank", []),
        ("bank", ["--debug"]),
        ("tracking_uri", ["--debug"]),  # says more than without, and MLflow takes its time to give up
    ],
)
@pytest.mark.parametrize("command", ["tune", "compare", "finetune"])
def test_no_password_of_a_database_is_left_anywhere(
    command: str, place: str, debug: list[str], port: int, tmp_path: Path
) -> None:
    """None of them can be reached: what is written before and told afterwards holds no password all the same."""
    if place == "storage" and command != "tune":
        pytest.skip("a study alone has a storage")
    if command == "finetune":
        pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.format(port=port, password=PASSWORD))
    file = tmp_path / COMMANDS[command][1]
    kind = "http" if place == "tracking_uri" else "postgresql"
    rest = file.read_text().replace(', "failing"', "")  # which is waited for, and has been asked in the other test
    file.write_text(f'{place} = "{kind}://me:{STORAGE}@127.0.0.1:1/db"\n{rest}')
    written = left_by(tmp_path, [*COMMANDS[command][:-1], *debug])
    assert leaks_in(written) == []
    assert place == "tracking_uri" or b"127.0.0.1:1/db" in written["stderr"]


def left_by(folder: Path, words: list[str], **environment: str) -> dict[str, bytes]:
    """All files that a command leaves in a folder, but for those that were there, and what it said."""
    line = [sys.executable, "-m", "dspy_fusion.experiments", *words]
    own = {name: (folder / name) for name in FILES}
    done = subprocess.run(
        line, cwd=folder, env=os.environ | {"PLANTED": KEY} | environment, capture_output=True, timeout=300
    )
    for path in own.values():
        path.unlink()
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {**files, "stdout": done.stdout, "stderr": done.stderr}


def leaks_in(written: dict[str, bytes]) -> list[str]:
    """Where a planted secret stands, as it is or as a URL or base64 has it."""
    return [
        f"{name}: ...{content[max(0, content.find(form) - 80) :][:160]!r}"
        for name, content in written.items()
        for secret in (KEY, PASSWORD, TRACKING, STORAGE)
        for form in (secret.encode(), base64.b64encode(secret.encode()).rstrip(b"="))
        if form in content
    ]
