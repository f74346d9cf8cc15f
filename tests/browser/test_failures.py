"""What the page says when an answer is missing, broken or a proxy's, and that it goes on after."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visiting
from tests.browser.test_voices import open_form
from tests.support.browser import RECORDING, Visit
from tests.support.live_server import Server

SPEECH = "**/stream/with-timestamps*"
NO_CONNECTION = "The server cannot be reached."
FOREIGN = "The answer is not one of this server. Is there a proxy that asks for a login?"
LOST = "The connection to the server was lost before all of the answer was there."
ANSWERS = [
    (503, '{"error": {"message": "The server is at its limit."}}', "The server is at its limit."),
    (429, '{"error": "Slow down."}', "Slow down."),
    (403, '{"message": "Not for you."}', "Not for you."),
    (422, '{"detail": [{"msg": "x"}]}', "The request failed, with the status 422"),
    (502, "<h1>Bad Gateway</h1>", "The request failed, with the status 502"),
    (504, "null", "The request failed, with the status 504"),
    (500, '{"error": {"message": ""}}', "The request failed, with the status 500"),
    (200, "<html>\nPlease log in.</html>", FOREIGN),
    (200, "<html>Please log in.</html>", FOREIGN),
    (200, "", FOREIGN),
    (200, '{"audio_base64": "AAAA"}\n{"audio_ba', LOST),
]


def failure(visit: Visit) -> Locator:
    """Return where the page says why a speech failed."""
    return visit.page.locator("section > [role=alert]")


def speak_well(visit: Visit) -> None:
    visit.type("Hello.")
    visit.speak()
    visit.wait_for_state("Done: 480 ms of audio")
    expect(failure(visit)).to_have_text("")


def test_an_answer_that_is_no_speech_is_explained_and_the_next_speech_is_heard(
    visit: Visit,
) -> None:
    for status, body, text in ANSWERS:
        visit.page.route(
            SPEECH, lambda route, _=None, s=status, b=body: route.fulfill(status=s, body=b)
        )
        visit.speak()
        visit.wait_for_state("Failed")
        expect(failure(visit)).to_contain_text(text)
        visit.page.unroute(SPEECH)
    speak_well(visit)


def test_a_speech_that_breaks_off_says_so(visit: Visit) -> None:
    visit.type("Well. fail-late")
    visit.speak()
    visit.wait_for_state("Failed")
    expect(failure(visit)).to_have_text(LOST)
    speak_well(visit)


def test_a_server_that_is_gone_is_named_wherever_it_is_asked(visit: Visit) -> None:
    page = visit.page
    page.route("**/v1/**", lambda route: route.abort())
    visit.speak()
    expect(failure(visit)).to_have_text(NO_CONNECTION)
    page.get_by_role("button", name="Hear Coral").click()
    heard = page.locator("main > [role=alert]")
    expect(heard).to_have_text(NO_CONNECTION)
    form = open_form(page, "Design a voice", "Grandpa")
    page.get_by_label("Description").fill("a calm old man")
    page.get_by_role("button", name="Make candidates").click()
    expect(form.get_by_role("alert")).to_have_text(NO_CONNECTION)
    visit.type("Another text.")
    expect(page.locator(".segments .error")).to_have_text(NO_CONNECTION)
    page.unroute("**/v1/**")
    page.get_by_role("button", name="Hear Coral").click()
    expect(heard).to_have_text("")
    speak_well(visit)


def test_a_file_that_is_no_audio_is_named_until_another_is_chosen(
    visit: Visit, tmp_path: Path
) -> None:
    (tmp_path / "text.wav").write_text("This is no audio.")
    page = visit.page
    form = open_form(page, "Add a voice", "Text")
    field = form.get_by_role("group", name="Recording of the voice")
    field.get_by_label("File").set_input_files(tmp_path / "text.wav")
    field.get_by_role("button", name="Listen").click()
    expect(field.get_by_role("alert")).to_have_text("The browser cannot play this file.")
    field.get_by_label("File").set_input_files(RECORDING)
    expect(field.get_by_role("alert")).to_have_count(0)


def test_a_key_in_any_script_is_refused_and_can_be_replaced(
    visits: Visiting, keyed: Server
) -> None:
    wrong = "clé 钥匙 \N{KEY}"  # headers have no such letters
    refused = "The API key is not one of this server's."
    with visits(keyed) as visit:
        page = visit.open()
        visit.type("Hello.")
        said = page.locator(".segments")
        for key, text in ((wrong, refused), ("the key", "Typed")):
            page.get_by_label("API key").fill(key)
            page.get_by_role("button", name="Use key").click()
            expect(said).to_contain_text(text)
            if key == wrong:
                visit.speak()
                expect(failure(visit)).to_have_text(refused)
                page.reload()
                visit.type("Hello.")
        speak_well(visit)


def test_a_key_for_a_server_that_is_gone_is_kept_and_the_loss_is_named(
    visits: Visiting, keyed: Server
) -> None:
    with visits(keyed) as visit:
        page = visit.open()
        page.route("**/v1/**", lambda route: route.abort())
        page.get_by_label("API key").fill("the key")
        page.get_by_role("button", name="Use key").click()
        expect(page.locator("main > [role=alert]")).to_have_text(NO_CONNECTION)
        page.unroute("**/v1/**")
        speak_well(visit)
