"""Voices in the page: filtered, heard, added by file and microphone, designed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visiting
from tests.support.browser import RECORDING, Visit
from tests.support.live_server import Server


def open_form(page: Page, title: str, name: str) -> Locator:
    """Open one of the two forms for a voice and enter its name."""
    page.get_by_role("heading", name=title).click()
    form = page.locator("details[open]")
    form.get_by_label("Name", exact=True).fill(name)
    return form


def fill_in(page: Page, name: str) -> None:
    """Open the form for a new voice, with the speaker's consent as a file."""
    open_form(page, "Add a voice", name)
    page.get_by_role("group", name="Consent of the speaker").get_by_label("File").set_input_files(
        RECORDING
    )


def expect_chosen(page: Page, name: str) -> None:
    expect(page.locator(".voices li:has(:checked) .voice-name")).to_have_text(name)


def test_voices_are_filtered_by_language_and_kind(visit: Visit) -> None:
    page = visit.page
    names = page.locator(".voice-name")
    everything = names.count()
    page.get_by_label("Filter by language").select_option("zh")
    expect(names).to_have_text(["Xiaoxiao", "Yunxi"])
    page.get_by_label("Filter by language").select_option("")
    page.get_by_label("Filter by kind").select_option("stock")
    assert 0 < names.count() < everything


def test_a_voice_is_heard_and_chosen(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("button", name="Hear Coral").click()
    visit.wait_until_started()
    page.get_by_role("button", name="Stop Coral").click()
    expect(page.get_by_role("button", name="Hear Coral")).to_be_visible()
    page.get_by_role("radio", name="Coral").check()
    visit.type("Hello.")
    visit.speak()
    visit.wait_for_state("Done")
    assert any("/v1/text-to-speech/coral/" in url for url in visit.requested)


def test_only_voices_that_the_engine_speaks_with_are_offered(
    visits: Visiting, keyed: Server
) -> None:
    with visits(keyed) as visit:
        page = visit.open()
        expect(page.locator(".voice-name")).to_have_text(["Alloy", "Sine"])
        expect(page.get_by_text("Design a voice")).to_have_count(0)


def test_a_voice_is_added_from_a_file_and_selected(visit: Visit) -> None:
    page = visit.page
    fill_in(page, "Jane")
    add = page.get_by_role("button", name="Add voice")
    expect(add).to_be_disabled()
    page.get_by_role("group", name="Recording of the voice").get_by_label("File").set_input_files(
        RECORDING
    )
    add.click()
    expect(page.get_by_text("The recording is good. Jane has been added")).to_be_visible()
    expect_chosen(page, "Jane")
    visit.type("Hello.")
    visit.speak()
    visit.wait_for_state("Done")


def test_a_recording_that_is_refused_is_explained(visit: Visit, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", [0.0] * 48_000, 24_000)
    page = visit.page
    fill_in(page, "Silent")
    page.get_by_role("group", name="Recording of the voice").get_by_label("File").set_input_files(
        tmp_path / "silence.wav"
    )
    page.get_by_role("button", name="Add voice").click()
    expect(page.locator("form [role=alert]")).to_have_text(re.compile("Refused: .*(silen|quiet)"))


def test_a_voice_is_added_from_the_microphone(visit: Visit) -> None:
    page = visit.page
    fill_in(page, "Spoken")
    field = page.get_by_role("group", name="Recording of the voice")
    field.get_by_role("button", name="Record").click()
    meter = field.get_by_label("Level of the microphone")
    meter.wait_for()
    visit.wait_until("document.querySelector('meter').value > 0.1")
    field.get_by_text(re.compile(r"^[3-9]\.\d s")).wait_for()
    field.get_by_role("button", name="Stop recording").click()
    expect(field.get_by_role("status")).to_have_text(re.compile("recorded"))
    page.get_by_role("button", name="Add voice").click()
    expect(page.get_by_text("Spoken has been added")).to_be_visible()


def test_a_voice_is_designed_from_candidates(visit: Visit) -> None:
    page = visit.page
    open_form(page, "Design a voice", "Grandpa")
    page.get_by_label("Description").fill("a calm old man")
    page.get_by_role("button", name="Make candidates").click()
    page.get_by_role("button", name="Hear candidate 2").click()
    visit.wait_until_started()
    page.get_by_role("button", name="Keep candidate 2").click()
    expect(page.get_by_text("Grandpa has been kept")).to_be_visible()
    expect_chosen(page, "Grandpa")
    page.get_by_label("Filter by kind").select_option("designed")
    expect(page.locator(".voice-name").first).to_have_text("Grandpa")


@pytest.mark.parametrize("right", [True, False])
def test_a_server_with_keys_asks_for_one(visits: Visiting, keyed: Server, right: bool) -> None:
    with visits(keyed) as visit:
        page = visit.open()
        visit.type("Hello.")
        visit.speak()
        visit.wait_for_state("Failed")
        expect(page.locator("section [role=alert]")).to_contain_text("API key")
        page.get_by_label("API key").fill("the key" if right else "another key")
        page.get_by_role("button", name="Use key").click()
        visit.speak()
        visit.wait_for_state("Done" if right else "Failed")
        assert page.evaluate("localStorage.length") == 0
        assert "the key" not in page.locator("pre code").inner_text()
        page.reload()
        expect(page.get_by_text("A key is in use.")).to_be_visible()
        page.get_by_role("button", name="Forget key").click()
        assert page.evaluate("sessionStorage.length") == 0
