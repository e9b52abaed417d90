from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dspy.utils.exceptions import LMError

from dspy_fusion.serving.models import load_models


class HtmlHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>a router's login page</html>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def html_address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), HtmlHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


@pytest.mark.parametrize("engine", ["native", "litellm"])
def test_a_port_that_answers_html_is_a_typed_error(html_address: str, engine: str, tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(f'[m]\nmodel = "hosted_vllm/m"\naddress = "{html_address}"\nengine = "{engine}"')
    with pytest.raises(LMError, match="<html>a router's login page"):
        load_models(path).lm("m")("hello")
