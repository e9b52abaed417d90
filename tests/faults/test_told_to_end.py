"""SIGTERM ends a command as Ctrl-C does: without a traceback, without a further paid call, and the same
command goes on where it was.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from waiting import wait_for

WITHIN_SECONDS = 180  # on a busy machine; an idle one takes 2 to 5
ANSWERED = 9  # before the command is told to end
FILES = {
    "models.toml": '[paid]\nmodel = "openai/m"\naddress = "{address}"\n',
    "compare.toml": """
task = "worksheets"
examples = 12
n = 3
adapter = "chat"
[pools]
default = ["paid"]
[[strategy]]
name = "vote"
program = "vote"
pool = "default"
""",
    "tune.toml": """
task = "worksheets"
examples = 6
held_out = 2
trials = 4
adapter = "chat"
[pools]
default = ["paid"]
[program]
program = "vote"
pool = "default"
n = 3
""",
    "synthesize.toml": """
teachers = ["paid", "paid"]
rows = 24
shard_rows = 8
max_concurrency = 8
[fusion]
fusor = "paid"
[prompts]
file = "prompts.jsonl"
column = "prompt"
""",
    "prompts.jsonl": "".join(json.dumps({"prompt": f"Say something about river {i}."}) + "\n" for i in range(24)),
    "finetune.toml": """
task = "worksheets"
base = "embedded/aft"
examples = 24
held_out = 0
proposers = "paid"
draws = 2
keep = 2
adapter = "plain"
program = { program = "fusion", pool = "paid", fusor = "paid", n = 2 }
training = { lora = false, batch_size = 4, micro_batch = 4, log_every = 1, threads = 1, device = "cpu" }
""",
}


class Paid(BaseHTTPRequestHandler):
    """Answers so many questions, and the rest when the command has been told to end; keeps what it was asked."""

    asked: ClassVar[list[str]] = []
    told = threading.Event()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(json.dumps(body, sort_keys=True))
        if len(self.asked) > ANSWERED:
            self.told.wait(240)
        text = "[[ ## answers ## ]]\n(a) 1 + 1 = 2\n\n[[ ## answer ## ]]\nA river.\n\n[[ ## completed ## ]]\n"
        answer = {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6},
        }
        data = json.dumps(answer).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass  # whoever asked has left

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    Paid.asked = []
    Paid.told.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Paid)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.replace("{address}", f"http://127.0.0.1:{server.server_port}/v1"))
    yield tmp_path
    server.shutdown()
    server.server_close()


def start(folder: Path, command: str, *options: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "dspy_fusion.experiments", command, f"{command}.toml", "--out", "run", *options]
    return subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def all_asked() -> int:
    """How much was asked once the server has read all that was sent: nothing new for a while."""
    before, since = len(Paid.asked), time.monotonic()
    while time.monotonic() - since < 1.0:
        time.sleep(0.02)
        if len(Paid.asked) != before:
            before, since = len(Paid.asked), time.monotonic()
    return before


@pytest.mark.parametrize(
    ("command", "options"),
    [("compare", ["--no-tracking"]), ("tune", ["--no-tracking", "--workers", "2"]), ("synthesize", []),
     ("finetune", ["--no-tracking"])],
)  # fmt: skip
def test_a_command_that_is_told_to_end_makes_no_further_call(command: str, options: list[str], folder: Path) -> None:
    if command == "finetune":
        pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
    process = start(folder, command, *options)
    wait_for(lambda: len(Paid.asked) > ANSWERED or process.poll() is not None, "nothing is asked", seconds=180)
    assert process.poll() is None, process.communicate()[1][-2000:]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=WITHIN_SECONDS)
    Paid.told.set()
    assert process.returncode == 130, errors[-2000:]
    assert "Traceback" not in errors
    asked, before = set(Paid.asked), all_asked()
    time.sleep(1.0)
    assert len(Paid.asked) == before
    again = start(folder, command, *options)
    _, errors = again.communicate(timeout=600)
    assert again.returncode == 0, errors[-2000:]
    repeated = len(asked & set(Paid.asked[before:]))
    assert repeated <= 24, "answers that were paid for were asked for again"  # what was under way: 8 examples of 3
