"""How the page looks and loads: accessible, light and dark, narrow, in Chinese, small."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visiting
from tests.support.live_server import Server

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
BUDGET = 150_000
"""The most bytes of the first load."""


def violations(page: Page) -> list[Any]:
    """Return what axe-core finds: the rules of WCAG 2.2 A and AA, and its best practices."""
    found: list[Any] = Axe().run(page).response["violations"]
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_no_violation(
    visits: Visiting, cloning: Server, scheme: str, size: dict[str, Any]
) -> None:
    with visits(cloning, color_scheme=scheme, **size) as visit:
        page = visit.open()
        visit.type("Hello there. It costs $3.50.")
        expect(page.locator(".segments tbody tr")).to_have_count(2)
        for summary in ("Add a voice", "Design a voice"):
            page.get_by_text(summary).click()
        visit.speak()
        visit.wait_for_state("Done")
        assert violations(page) == []


def test_axe_finds_no_violation_while_it_speaks_where_a_key_is_asked_for(
    visits: Visiting, keyed: Server
) -> None:
    with visits(keyed) as visit:
        page = visit.open()
        page.get_by_label("API key").fill("the key")
        page.get_by_role("button", name="Use key").click()
        visit.type("hang-late")
        visit.speak()
        visit.wait_for_state("Speaking")
        assert violations(page) == []


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            200,
            {
                "engine": {
                    "state": "ready",
                    "summary": "openbmb/VoxCPM2 in bfloat16",
                    "waiting": 2,
                    "details": {"runner": {"device": "cuda:0"}},
                },
                "streams": {"running": 3, "limit": 64},
            },
            "ready openbmb/VoxCPM2 in bfloat16 cuda:0 3 of 64 streams 2 waiting",
        ),
        (200, {"engine": {"state": "unloaded"}}, "idle, loads on request"),
        (503, {"error": {"code": "engine_loading"}}, "loading"),
        (503, {"error": {"code": "engine_failed"}}, "failed"),
        (502, None, "not reachable"),
    ],
)
def test_the_state_of_the_server_is_shown(
    visits: Visiting, cloning: Server, status: int, body: object, words: str
) -> None:
    text = "<html>" if body is None else json.dumps(body)
    with visits(cloning) as visit:
        visit.page.route("**/ready", lambda route: route.fulfill(status=status, body=text))
        expect(visit.open().get_by_role("group", name="Server")).to_have_text(
            re.compile(r"cloning-tone\s*" + re.escape(words).replace(r"\ ", r"\s*"))
        )


def test_dark_mode_is_dark(visits: Visiting, cloning: Server) -> None:
    shade = "Number(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])"
    for scheme, dark in (("light", False), ("dark", True)):
        with visits(cloning, color_scheme=scheme) as visit:
            assert (visit.open().evaluate(shade) < 64) is dark


def test_a_narrow_screen_shows_everything_without_scrolling_sideways(
    visits: Visiting, cloning: Server
) -> None:
    with visits(cloning, **PHONE) as visit:
        page = visit.open()
        for summary in ("Add a voice", "Design a voice"):
            page.get_by_text(summary).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        text, voices = page.locator("#text"), page.locator(".voices")
        text_box, voice_box = text.bounding_box(), voices.bounding_box()
        assert text_box is not None
        assert voice_box is not None
        assert text_box["width"] > 250
        assert voice_box["y"] > text_box["y"]


def test_a_browser_in_chinese_gets_the_page_in_chinese_and_may_change_it(
    visits: Visiting, cloning: Server
) -> None:
    with visits(cloning, locale="zh-CN") as visit:
        page = visit.open()
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        visit.type("Hello.")
        page.get_by_role("button", name="朗读", exact=True).click()
        expect(page.locator(".state")).to_have_text("完成：音频 480 ms")
        page.get_by_role("heading", name="添加音色").click()
        expect(page.get_by_label("录音的语言")).to_have_value("en")  # the engine has no Chinese
        page.get_by_label("语言", exact=True).select_option("en")
        expect(page.get_by_role("button", name="Speak", exact=True)).to_be_visible()
        page.reload()
        expect(page.get_by_role("button", name="Speak", exact=True)).to_be_visible()
        assert page.evaluate("document.documentElement.lang") == "en"


def test_the_page_works_behind_a_path_of_a_proxy(visits: Visiting, cloning: Server) -> None:
    prefix = f"{cloning.url}/tts/"
    with visits(cloning) as visit:
        visit.page.route(
            f"{prefix}**",
            lambda route: route.continue_(url=route.request.url.replace("/tts/", "/")),
        )
        visit.page.goto(prefix)
        visit.type("Hello.")
        visit.speak()
        visit.wait_for_state("Done")
        assert [url for url in visit.requested if not url.startswith(prefix)] == []


def test_the_page_is_used_with_the_keyboard_alone(visits: Visiting, cloning: Server) -> None:
    with visits(cloning) as visit:
        page = visit.open()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the text")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.textContent || document.activeElement.id")
        assert focused in ("text", "Speak")
        page.locator("#text").focus()
        page.keyboard.press("Control+A")
        page.keyboard.type("Hello.")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        visit.wait_for_state("Done")
        page.get_by_role("radio").first.focus()
        page.keyboard.press("ArrowDown")
        expect(page.get_by_role("radio").nth(1)).to_be_checked()


def test_the_first_load_is_small_blocks_nothing_and_moves_nothing(
    visits: Visiting, cloning: Server
) -> None:
    with visits(cloning, **DESKTOP) as visit:
        page = visit.open()
        expect(page.locator(".segments tbody tr")).to_have_count(2)
        entries = page.evaluate(
            "[...performance.getEntriesByType('navigation'),"
            " ...performance.getEntriesByType('resource')].map((entry) => entry.toJSON())"
        )
        assert 0 < sum(entry["transferSize"] for entry in entries) < BUDGET
        blocking = {
            entry["name"].rpartition("/")[2]
            for entry in entries
            if entry.get("renderBlockingStatus") == "blocking"
        }
        assert blocking <= {"style.css"}
        assert page.evaluate("shifts") == []  # of what is seen first
