"""A real browser that a test leads: headless Chromium, over the pipe of its DevTools protocol.

For pages that live: a test waits until the page is as it should be, looks, and goes on. Where no
browser is installed (`apt-get install chromium`, or name one in PRETRADE_GUARD_BROWSER) there is
none: `BROWSER` is None.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from patience_support import PATIENCE_S

BROWSER = os.environ.get("PRETRADE_GUARD_BROWSER") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Browser:
    """One process; a context manager."""

    def __init__(self, profile: Path) -> None:
        assert BROWSER is not None
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # The protocol's descriptors are 3 and 4 there: a shell puts them in their places.
        script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            [
                *("bash", "-c", script, "bash", BROWSER, "--headless", "--no-sandbox"),
                *("--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"),
                *("--no-first-run", f"--user-data-dir={profile}", "about:blank"),
            ],
            pass_fds=(to_browser, from_browser),
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._numbers = itertools.count(1)
        self._rest = b""

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._write)  # which ends it
        try:
            self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._read)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """What a method of the protocol gives back."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while b"\0" not in self._rest:
            left_s = deadline - time.monotonic()
            assert left_s > 0, "the browser does not answer"
            assert select.select([self._read], [], [], left_s)[0], "the browser does not answer"
            part = os.read(self._read, 1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, address: str, width: int = 1_200, height: int = 1_000) -> "Tab":
        """A page of its own at that address, of that size."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        tab = Tab(self, attached["sessionId"], target)
        tab.call("Page.enable")
        tab.resize(width, height)
        tab.call("Page.navigate", url=address)
        return tab


class Tab:
    """One page in the browser."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target

    def call(self, method: str, **parameters: Any) -> Any:
        return self._browser.call(method, self._session, **parameters)

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def be_dark(self, is_dark: bool = True) -> None:
        """Asks the page to be dark, or light."""
        value = "dark" if is_dark else "light"
        features = [{"name": "prefers-color-scheme", "value": value}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def ask(self, expression: str) -> Any:
        """The value of an expression of the page's."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, condition: str, patience_s: float = PATIENCE_S) -> None:
        """Waits until an expression is true of the page."""
        deadline = time.monotonic() + patience_s
        while True:
            # The page looks for a while, then we do: it may have become another one meanwhile.
            found = self.ask(
                "new Promise((done) => { const end = Date.now() + 1000; const look = () => {"
                f" let found; try {{ found = Boolean({condition}); }} catch {{ found = false; }}"
                " if (found || Date.now() > end) done(found); else setTimeout(look, 20); };"
                " look(); })"
            )
            if found:
                return
            assert time.monotonic() < deadline, (condition, self.ask("document.body.innerText"))

    def picture(self, path: Path, is_whole: bool = True) -> bytes:
        """A screenshot, into a file."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=is_whole, format="png")
        data = base64.b64decode(shot["data"])
        path.write_bytes(data)
        return data

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)
