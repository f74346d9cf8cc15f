"""The API reference at ``/docs``, as a browser shows it."""

from __future__ import annotations

import re
import urllib.request

from playwright.sync_api import expect

from tests.browser.conftest import Visiting
from tests.support.live_server import Server


def test_the_reference_shows_every_route_without_another_host(
    visits: Visiting, cloning: Server
) -> None:
    with urllib.request.urlopen(f"{cloning.url}/openapi.json") as reply:
        content = reply.read().decode()
    operations = re.findall(r'"operationId":"(\w+)"', content)
    assert "create_speech_audio_speech" in operations
    with visits(cloning) as visit:
        visit.page.goto(f"{cloning.url}/docs/")  # leads to /docs
        expect(visit.page.get_by_role("heading", name="voxcpm-openai")).to_be_visible()
        shown = visit.page.locator("[data-section-id*='/operation/']")
        expect(shown).to_have_count(len(operations))
        speech = visit.page.locator("[id='operation/create_speech_audio_speech']")
        expect(speech).to_contain_text("Synthesize a text")
        expect(speech.get_by_role("button", name="/v1/audio/speech")).to_be_visible()
        found = {
            str(one.get_attribute("data-section-id")).rpartition("/")[2] for one in shown.all()
        }
    assert found == set(operations)


def test_an_operation_is_found_by_its_words(visits: Visiting, cloning: Server) -> None:
    with visits(cloning) as visit:
        page = visit.page
        page.goto(f"{cloning.url}/docs")
        page.get_by_placeholder("Search").fill("consent")
        expect(page.locator("[data-role='search:results']")).to_contain_text("consent")
