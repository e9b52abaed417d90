"""A headless Chromium driven over its debugging pipe, without a network and without a driver package;
tests skip where there is none.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

_BINARY = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(
    _BINARY is None, reason="no chromium, chromium-browser or google-chrome on the path"
)
"""Marks tests that open a page."""
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
)
# The browser reads commands from descriptor 3 and answers on 4; both are moved out of each other's way first.
_STARTER = (
    "import os, sys; a, b, *run = sys.argv[1:]; "
    + "; ".join(f"os.dup2({old}, {new})" for old, new in (("int(a)", 100), ("int(b)", 101), (100, 3), (101, 4)))
    + "; os.execv(run[0], run)"
)


class Page:
    """One page in a browser of its own; ``problems`` collects what the browser complains of."""

    def __init__(
        self, path: Path | str, *, width: int = 1400, height: int = 900, dark: bool = False, fragment: str = ""
    ) -> None:
        self.problems: list[str] = []
        self._folder = tempfile.TemporaryDirectory(prefix="chromium", ignore_cleanup_errors=True)
        self._last, self._rest, self._session = 0, b"", ""
        self._start()
        address = path if isinstance(path, str) else path.resolve().as_uri()
        self._open(address + fragment, width, height, dark)

    def _start(self) -> None:
        """Starts the browser; one that ends before it says a word, as on a machine short of memory, twice more."""
        for left in (2, 1, 0):
            self._launch()
            try:
                self.call("Browser.getVersion")
            except (AssertionError, BrokenPipeError):
                if not left:
                    raise
                self._close()
                self._rest = b""
            else:
                return

    def _launch(self) -> None:
        (ours_in, self._out), (self._in, ours_out) = os.pipe(), os.pipe()
        flags = [*_FLAGS, f"--user-data-dir={self._folder.name}"]
        self._browser = subprocess.Popen(
            [sys.executable, "-c", _STARTER, str(ours_in), str(ours_out), str(_BINARY), *flags],
            pass_fds=(ours_in, ours_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(ours_in)
        os.close(ours_out)

    def _close(self) -> None:
        self._browser.terminate()
        self._browser.wait(timeout=120)
        os.close(self._out)
        os.close(self._in)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def press(self, key: str) -> None:
        """Presses a key, such as ``Tab`` or ``Enter``."""
        text = {"text": "\r"} if key == "Enter" else {}
        codes = {"Tab": 9, "Enter": 13, "ArrowRight": 39}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **text)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Writes what is seen, or the whole length of the page, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its answer."""
        self._last += 1
        session = {"sessionId": self._session} if self._session else {}
        os.write(
            self._out,
            json.dumps({"id": self._last, "method": method, "params": parameters, **session}).encode() + b"\0",
        )
        while (message := self._next()).get("id") != self._last:
            self._heard(message)
        assert "error" not in message, message
        return message["result"]

    def _open(self, address: str, width: int, height: int, dark: bool) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=address)
        while self._heard(self._next()) != "Page.loadEventFired":
            pass

    def _heard(self, message: dict[str, Any]) -> str:
        method, told = message.get("method", ""), message.get("params", {})
        if method in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Network.loadingFailed"):
            self.problems.append(json.dumps(told))
        if method == "Network.requestWillBeSent" and not told["request"]["url"].startswith(("file:", "data:")):
            self.problems.append(f"asked for {told['request']['url']}")
        return method

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._in, 1 << 20)
            assert more, "the browser has gone"
            self._rest += more
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._folder.cleanup()
