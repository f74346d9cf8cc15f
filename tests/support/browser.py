"""The web page in a browser, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import soundfile
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from tests.support import ROOT, TONE_PLUGINS
from tests.support.live_server import Server
from tests.support.socket_client import until
from tests.support.tools import required

RECORDING = ROOT / "voices" / "alloy.flac"
CLONING = {"engine": "cloning-tone", "plugins_dir": str(TONE_PLUGINS)}
"""Settings of an engine that clones and designs voices, and speaks when it is told to."""

WATCH = """
window.started = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...given) {
  const samples = this.buffer.getChannelData(0);
  started.push({
    seconds: this.buffer.duration,
    peak: samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0),
    state: this.context.state,
  });
  return start.apply(this, given);
};
window.shifts = [];
new PerformanceObserver((list) => shifts.push(...list.getEntries().map((entry) =>
  [entry.value, ...entry.sources.map(({ node }) => node?.className ?? String(node))])))
  .observe({ type: "layout-shift", buffered: true });
"""
"""Run before the page: notes what reaches the audio graph, and what moves in the layout."""


MILLISECONDS = 20_000
"""The longest wait for what the page does."""
expect.set_options(timeout=MILLISECONDS)


def launch(playwright: Playwright, microphone: Path) -> Browser:
    """Start Chromium; its microphone plays a recording, without asking the user."""
    samples, rate = soundfile.read(RECORDING, dtype="int16")
    soundfile.write(microphone, samples, rate)
    return playwright.chromium.launch(
        executable_path=required("chromium"),
        args=[
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}",
        ],
    )


class Visit:
    """A page, with what it has requested and what went wrong in it."""

    def __init__(self, context: BrowserContext, server: Server) -> None:
        self.server = server
        self.requested: list[str] = []
        self.problems: list[str] = []
        self.context = context
        context.add_init_script(WATCH)
        context.on("request", lambda request: self.requested.append(request.url))
        self.page: Page = context.new_page()
        self.page.set_default_timeout(MILLISECONDS)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._note)

    def _note(self, message: Any) -> None:
        refused = message.text.startswith("Failed to load resource")  # a status the page shows
        sampled = message.text.startswith("OpenAPI Sampler: found allOf")  # Redoc; harmless
        if message.type in ("error", "warning") and not (refused or sampled):
            self.problems.append(message.text)

    def open(self) -> Page:
        """Load the page and wait until it is there."""
        self.page.goto(self.server.url)
        expect(self.page.get_by_role("heading", name="voxcpm-openai")).to_be_visible()
        return self.page

    def type(self, text: str) -> None:
        self.page.locator("#text").fill(text)

    def speak(self) -> None:
        self.page.get_by_role("button", name="Speak", exact=True).click()

    def started(self) -> list[dict[str, Any]]:
        """Return what has reached the audio graph."""
        found: list[dict[str, Any]] = self.page.evaluate("started")
        return found

    def wait_until_started(self, count: int = 1) -> None:
        self.wait_until(f"started.length >= {count}")

    def wait_until(self, expression: str) -> None:
        """Wait until an expression of JavaScript is true.

        ``wait_for_function`` calls ``eval``, which the policy of the page forbids.
        """
        until(lambda: bool(self.page.evaluate(expression)))

    def wait_for_state(self, text: str) -> None:
        expect(self.page.locator(".state")).to_contain_text(text)


@contextmanager
def visiting(browser: Browser, server: Server, **options: Any) -> Iterator[Visit]:
    """Yield a visit of a server; at the end fail if anything went wrong in the page.

    ``options``: as of ``Browser.new_context``.
    """
    context = browser.new_context(**{"locale": "en-US", **options})
    visit = Visit(context, server)
    try:
        yield visit
        assert visit.problems == []
        others = [url for url in visit.requested if not url.startswith((server.url, "blob:"))]
        assert others == []
    finally:
        context.close()
