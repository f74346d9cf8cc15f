"""Makes the picture of the web page in ``docs/images``, from a server with the embedded engine.

    .venv/bin/python tools/screenshots.py [FOLDER]

Run it after a change of the page.  It needs Chromium (Debian's package ``chromium``).  With FOLDER,
it writes pictures in both themes, both languages and three widths there instead, to be looked at.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402

from tests.support.live_server import Server  # noqa: E402
from tests.support.tools import required  # noqa: E402

PICTURE = ROOT / "docs" / "images" / "page.png"
MILLISECONDS = 120_000
"""The longest wait: Mandarin is slow on a busy CPU."""
WIDTHS = {"desktop": (1280, 860), "tablet": (768, 1024), "phone": (390, 844)}
TEXTS = {
    "en": "The page speaks while you listen. On 5 March it cost $3.50 to send 2 kg by train. "
    "Every sentence is played while the next one is still being made.",
    "zh": "今天是2026年3月5日，气温12℃，这本书只要35.5元。每一句在播放时，下一句已经在合成。",
}


def speak(page: Page, url: str, text: str) -> None:
    """Open the page and let it speak until all audio is there and some of it was heard."""
    page.goto(url)
    page.locator("#text").fill(text)
    page.locator(".segments td").nth(2).wait_for()
    page.locator(".primary").first.click()
    page.locator(".segments tr:nth-child(2)[aria-current]").wait_for()
    expect(page.locator("[data-name=realTimeFactor]")).not_to_have_text("–", timeout=MILLISECONDS)


def take(browser: Browser, url: str, path: Path, *, size: str, scheme: str, language: str) -> None:
    """Save one picture: of the window on a desktop, else of the whole page."""
    width, height = WIDTHS[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        locale=language,
    )
    page = context.new_page()
    page.set_default_timeout(MILLISECONDS)
    speak(page, url, TEXTS[language])
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=size != "desktop")
    print(f"wrote {path} ({path.stat().st_size // 1000} kB)")
    context.close()


def main() -> None:
    """Make the picture of the README, or all of them."""
    with Server() as server, sync_playwright() as playwright:
        server.wait_ready()
        browser = playwright.chromium.launch(executable_path=required("chromium"))
        if len(sys.argv) == 1:
            take(browser, server.url, PICTURE, size="desktop", scheme="light", language="en")
        else:
            for size in WIDTHS:
                for scheme, language in (("light", "en"), ("dark", "en"), ("light", "zh")):
                    path = Path(sys.argv[1]) / f"{size}-{scheme}-{language}.png"
                    take(browser, server.url, path, size=size, scheme=scheme, language=language)
        browser.close()


if __name__ == "__main__":
    main()
