"""Speaking in the page: heard while it is made, stopped, saved, repeated."""

from __future__ import annotations

import io
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import av
import openai
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visiting
from tests.support.browser import Visit
from tests.support.live_server import Server
from tests.support.socket_client import until
from tests.support.tools import required

HOSTILE = 'It\'s "quoted" \\ $HOME `id`, 3 < 4 & more.\nA new line, and 你好.'


@pytest.fixture(autouse=True)
def fresh_pace(pace: Path) -> Iterator[None]:
    """No chunk is due before and after each test."""
    pace.write_bytes(b"")
    yield
    pace.write_bytes(bytes(100))  # whatever still speaks ends


def open_streams(server: Server) -> int:
    return int(server.ready()["engine"]["streams"])


def measured(page: Page, name: str) -> str:
    return page.locator(f"[data-name={name}]").inner_text()


def download(page: Page, name: str) -> bytes:
    with page.expect_download() as found:
        page.get_by_role("button", name=name, exact=True).click()
    return found.value.path().read_bytes()


def test_speech_is_heard_while_it_is_made(visit: Visit, pace: Path) -> None:
    visit.type("A paced sentence.")
    pace.write_bytes(bytes(3))
    visit.speak()
    visit.wait_until_started()
    assert open_streams(visit.server) == 1  # of 40 chunks three are made
    first = visit.started()[0]
    assert first["state"] == "running"
    assert first["peak"] > 0.2
    visit.wait_for_state("Speaking")
    expect(visit.page.get_by_role("button", name="Download mp3")).to_be_disabled()
    assert re.fullmatch(r"\d+ ms|\d+\.\d s", measured(visit.page, "firstSound"))
    assert measured(visit.page, "realTimeFactor") == "–"
    pace.write_bytes(bytes(40))
    expect(visit.page.get_by_role("button", name="Download mp3")).to_be_enabled()
    expect(visit.page.locator("[data-name=realTimeFactor]")).not_to_have_text("–")
    heard = sum(chunk["seconds"] for chunk in visit.started())
    assert heard == pytest.approx(6.4, abs=0.1)
    assert measured(visit.page, "audio") == "6.4 s"
    assert measured(visit.page, "received") == "614 kB"


def test_the_waveform_grows_with_the_audio(visit: Visit, pace: Path) -> None:
    image = visit.page.get_by_role("img", name=re.compile("Waveform"))
    before = image.screenshot()
    visit.type("A paced sentence.")
    pace.write_bytes(bytes(3))
    visit.speak()
    visit.wait_until_started()
    expect(image).to_have_accessible_name(re.compile(r"Waveform, (3|4)\d\d ms of audio"))
    assert image.screenshot() != before


def test_the_sentence_that_is_heard_is_marked(visit: Visit, pace: Path) -> None:
    visit.type("One. A paced second sentence. Three.")
    rows = visit.page.locator(".segments tbody tr")
    expect(rows).to_have_count(3)
    visit.speak()
    expect(rows.nth(0)).to_have_attribute("aria-current", "true")
    pace.write_bytes(bytes(2))
    expect(rows.nth(1)).to_have_attribute("aria-current", "true")
    expect(rows.nth(0)).not_to_have_attribute("aria-current", "true")
    pace.write_bytes(bytes(40))


def test_stop_ends_the_sound_and_the_work_of_the_server(visit: Visit, pace: Path) -> None:
    visit.type("A paced sentence.")
    pace.write_bytes(bytes(2))
    visit.page.locator("#text").press("Control+Enter")
    visit.wait_until_started()
    visit.page.get_by_role("button", name="Stop", exact=True).click()
    visit.wait_for_state("Stopped")
    expect(visit.page.get_by_role("button", name="Speak", exact=True)).to_be_focused()
    started = len(visit.started())
    until(lambda: open_streams(visit.server) == 0)
    assert len(visit.started()) == started


def test_escape_stops(visit: Visit, pace: Path) -> None:
    visit.type("A paced sentence.")
    visit.page.locator("#text").press("Control+Enter")
    visit.wait_for_state("Waiting")
    visit.page.keyboard.press("Escape")
    visit.wait_for_state("Stopped")


def test_the_download_has_the_chosen_format(visit: Visit) -> None:
    visit.type("Hello.")
    for name, magic in (("flac", b"fLaC"), ("wav", b"RIFF"), ("opus", b"OggS")):
        visit.page.get_by_label("Format of the download").select_option(name)
        visit.speak()
        content = download(visit.page, f"Download {name}")
        assert content.startswith(magic)
        with av.open(io.BytesIO(content)) as file:
            length = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
        assert length == pytest.approx(0.48, abs=0.03)
    visit.wait_for_state("Done: 480 ms of audio")


def test_a_speech_of_this_visit_is_played_saved_and_used_again(visit: Visit) -> None:
    for text in ("First.", "Second."):
        visit.type(text)
        visit.speak()
        visit.wait_for_state("Done")
    before = len(visit.started())
    visit.page.get_by_role("button", name="Play: First.").click()
    visit.wait_until_started(before + 1)
    visit.page.get_by_role("button", name="Use this text again: First.").click()
    expect(visit.page.locator("#text")).to_have_value("First.")
    assert download(visit.page, "Download: Second.")[:2] in (b"\xff\xfb", b"\xff\xf3")


def test_an_error_is_shown_and_the_next_speech_has_none(visit: Visit) -> None:
    visit.type("fail-early")
    visit.speak()
    alert = visit.page.locator("section [role=alert]")
    expect(alert).to_have_text("the tone engine was told to fail early")
    visit.type("Hello.")
    visit.speak()
    visit.wait_for_state("Done")
    expect(alert).to_have_text("")


def test_the_text_is_shown_as_it_will_be_said(visits: Visiting, server: Server) -> None:
    with visits(server) as visit:
        page = visit.open()
        visit.type("It costs **$3.50**.")
        cells = page.locator(".segments td")
        expect(cells).to_have_text(["It costs $3.50.", "It costs three dollars and fifty cents."])
        expect(page.locator(".segments tbody")).to_have_attribute("lang", "en")
        expect(page.locator("mark").first).to_have_text("three")
        visit.speak()
        visit.wait_for_state("Done")
        assert max(chunk["peak"] for chunk in visit.started()) > 0.05


def test_a_request_is_copied(visit: Visit) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.page.get_by_role("button", name="Copy").click()
    expect(visit.page.get_by_role("button", name="Copied")).to_be_visible()
    copied = visit.page.evaluate("navigator.clipboard.readText()")
    assert copied == visit.page.locator("pre code").inner_text()


def test_the_requests_to_copy_are_what_they_say(visit: Visit, tmp_path: Path) -> None:
    visit.type(HOSTILE)
    visit.page.get_by_label("Format of the download").select_option("wav")
    code = visit.page.locator("pre code")
    body = {
        "model": "gpt-4o-mini-tts",
        "voice": "alloy",
        "input": HOSTILE,
        "response_format": "wav",
    }

    required("curl")
    command = ["bash", "-c", code.inner_text()]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    made = (tmp_path / "speech.wav").read_bytes()
    request = urllib.request.Request(
        f"{visit.server.url}/v1/audio/speech",
        visit.page.evaluate("(body) => JSON.stringify(body)", body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert len(reply.read()) == len(made)

    visit.page.get_by_role("button", name="Python").click()
    script = code.inner_text().replace('"speech.wav"', repr(str(tmp_path / "python.wav")))
    exec(compile(script, "snippet", "exec"), {"OpenAI": openai.OpenAI})
    assert len((tmp_path / "python.wav").read_bytes()) == len(made)

    visit.page.get_by_role("button", name="JavaScript").click()
    script = code.inner_text()
    length = visit.page.evaluate(f"(async () => {{ {script}; return audio.byteLength; }})()")
    assert length == len(made)
