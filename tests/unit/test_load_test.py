"""Requests and faults of the load test, against a server with scripted replies."""

from __future__ import annotations

import io
import socket
import wave

import pytest

from tests.support.scripted_server import GOOD, SECOND, envelope, serving
from voxcpm_openai.load_test import LoadError, LoadPlan, run


def test_each_request_has_the_fields_of_the_plan():
    with serving(GOOD) as (url, script):
        run(LoadPlan(url, 2, 3, ("one", "two"), "nova", "voxcpm", "pcm", "a key"))
    paths, headers, bodies = zip(*script.requests, strict=True)
    assert set(paths) == {"/v1/audio/speech"}
    assert {sent["Authorization"] for sent in headers} == {"Bearer a key"}
    assert {sent["Connection"] for sent in headers} == {"close"}
    assert bodies[0]["input"] == "one"  # the warm-up
    assert sorted(body.pop("input") for body in bodies) == ["one", "one", "one", "two"]
    expected = {"voice": "nova", "model": "voxcpm", "response_format": "pcm"}
    assert all(body == expected for body in bodies)


def test_the_warm_up_is_separate_and_every_reply_is_reported():
    progress = []
    with serving((200, 2 * SECOND, "chunked"), GOOD) as (url, script):
        report = run(LoadPlan(url, streams=3, requests=7), lambda: progress.append(1))
    assert len(script.requests) == 8
    assert len(progress) == report.requests == 7
    assert report.warm_up.audio == 2.0
    assert report.audio_per_second * report.seconds == pytest.approx(7.0)
    assert report.faults == {}
    assert 0 < report.first_byte.p50 <= report.total.p50 <= report.seconds


def test_requests_are_sent_at_the_planned_times_in_each_round() -> None:
    with serving(GOOD, (200, SECOND, "three together")) as (url, script):
        plan = LoadPlan(url, arrivals=(0.0, 0.05, 0.1), rounds=2, fields={"speed": 2.0})
        report = run(plan)
    assert (report.requests, report.faults, len(script.requests)) == (6, {}, 7)
    assert report.seconds >= 0.2
    assert all(body["speed"] == 2.0 for *_, body in script.requests)


def test_each_stream_sends_its_next_request_after_it_has_played_the_reply() -> None:
    started = []
    with serving((200, SECOND[:9600], "chunked")) as (url, script):  # a fifth of a second
        plan = LoadPlan(url, 2, texts=("one", "two"), playback=True, duration=0.5, ramp=0.1)
        report = run(plan, on_start=lambda: started.append(len(script.requests)))
    assert started == [2], "each text is requested once before the start"
    assert 2 <= report.requests <= 6
    assert report.client_cpu > 0


def test_the_planned_number_of_streams_runs_at_once():
    with serving(GOOD, (200, SECOND, "three together")) as (url, _):
        assert run(LoadPlan(url, streams=3, requests=6)).faults == {}


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("http://h:1", "http://h:1/v1/audio/speech"),
        ("http://h:1/", "http://h:1/v1/audio/speech"),
        ("https://h/v1", "https://h/v1/audio/speech"),
        ("http://h:1/v1/", "http://h:1/v1/audio/speech"),
        ("http://h:1/speech/v1", "http://h:1/speech/v1/audio/speech"),
    ],
)
def test_the_base_url_may_end_in_v1(base, path):
    assert LoadPlan(base).endpoint.geturl() == path


@pytest.mark.parametrize(
    "url", ["localhost:7861", "ftp://h", "http://", "http://h:port", "http://h:0", ""]
)
def test_an_invalid_base_url_is_refused(url):
    with pytest.raises(LoadError, match="no address"):
        LoadPlan(url)


@pytest.mark.parametrize("empty", [{"streams": 0}, {"requests": 0}, {"texts": ()}])
def test_an_empty_plan_is_refused(empty):
    with pytest.raises(LoadError, match="At least one"):
        LoadPlan("http://h", **empty)


def test_faults_are_counted_by_kind_and_excluded_from_the_other_figures():
    busy = (503, envelope("busy"), "sized")
    broken = (200, SECOND, "no end")
    short = (200, SECOND, "cut short")
    silent = (200, b"", "sized")
    with serving(GOOD, busy, broken, busy, short, silent, GOOD) as (url, _):
        report = run(LoadPlan(url, requests=8))
    assert report.faults == {"503": 2, "truncated": 2, "no sound": 1}
    assert report.audio_per_second * report.seconds == pytest.approx(3.0)


def test_there_are_no_percentiles_when_every_request_fails():
    with serving(GOOD, (500, b"<h1>Oops</h1>", "sized")) as (url, _):
        report = run(LoadPlan(url, requests=2))
    assert (report.first_byte, report.total, report.rtf) == (None, None, None)
    assert report.faults == {"500": 2}


def test_the_error_of_a_refused_warm_up_has_the_message_of_the_server():
    with (
        serving((401, envelope("Incorrect API key."), "sized")) as (url, _),
        pytest.raises(LoadError, match=r"401\. Incorrect API key\.$"),
    ):
        run(LoadPlan(url))


def test_a_refused_connection_is_reported():
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(LoadError, match=r"no answer\..*Connect call failed"):
            run(LoadPlan(f"http://127.0.0.1:{taken.getsockname()[1]}"))


def test_other_formats_are_decoded_to_measure_their_length():
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * 12000))
    with serving((200, file.getvalue(), "chunked")) as (url, script):
        report = run(LoadPlan(url, requests=1, format="wav"))
    assert report.warm_up.audio == pytest.approx(1.5)
    assert script.requests[0][2]["response_format"] == "wav"


@pytest.mark.parametrize("body", [b"{}", b"1\n00:00:01,000 --> 00:00:02,000\nno sound\n\n"])
def test_a_body_without_audio_is_a_fault(body):
    with serving((200, body, "sized")) as (url, _), pytest.raises(LoadError, match="no sound"):
        run(LoadPlan(url, format="mp3"))
