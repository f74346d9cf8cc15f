"""A row of each kind of reading, heard from the audio of the live server."""

from __future__ import annotations

import json
import re
import urllib.request

import jiwer
import numpy as np
import pytest

from tests.support.live_server import Server
from tests.support.readings import alternatives, folded
from tests.support.whisper import Whisper

HEARD = [
    ("The book I read last week was great.", "the book I read last week was great"),
    ("Mark Carney spoke to George Clooney.", "mark carney spoke to george clooney"),
    ("Peter C. Smith came late.", "peter C smith came late"),
    ("A USB Type C plug, grade C, level C.", "a U S B type C plug grade C level C"),
    ("Chapter IV tells of the XIX century.", "chapter four tells of the nineteenth century"),
    ("“Have you eaten?” she asked.", "have you eaten she asked"),
    ("The rate is 10⁻⁶ per second.", "the rate is ten to the power of minus six per second"),
    ("“The end.”¹⁵ So they say.", "the end so they say"),
    ("It goes down to -5°C in winter.", "it goes down to minus five degrees celsius in winter"),
    ("It is 5 € or £7.20.", "it is five euros or seven pounds {and|} twenty {pence|}"),
    ("About 5-10% of them.", "about five to ten percent of them"),
    ("Some 10 000 people came.", "some ten thousand people came"),
    ("It was 12,5 degrees.", "it was twelve point five degrees"),
    ("Add 2½ cups and 1/4 of a lemon.", "add two and a half cups and one quarter of a lemon"),
    ("Rated 5/5 stars, 10/10.", "rated five out of five stars ten out of ten"),
    (
        "Call 1-800-555-0199 now.",
        "call one eight hundred five five five {zero|o} one nine nine now",
    ),
    ("The code is 0042.", "the code is zero zero four two"),
    ("Version 2.4.1 of it.", "version two point four point one of it"),
    ("Born on March 3rd, 1999.", "born on march third nineteen ninety nine"),
    ("At 9:30 p.m., or 14:05.", "at nine thirty P M or fourteen o five"),
    ("In the 1990s and in 1900.", "in the nineteen nineties and in nineteen hundred"),
    ("Open 24/7.", "open twenty four seven"),
    ("He said no. I met Jan. We ate a fig.", "he said no I met jan we ate a fig"),
    ("See page No. 5 and Fig. 3.", "see page number five and figure three"),
    ("500g, 3L, 60W, 12 kWh.", "five hundred grams three liters sixty watts twelve kilowatt hours"),
    ("Play C# and F♯.", "play C sharp and F sharp"),
    ("Here a ≠ b and √2 is long.", "here a is not equal to b and the square root of two is long"),
    ("Up 5.5%, down 100%.", "up five point five percent down one hundred percent"),
    ("Visit example.com now.", "visit example dot com now"),
    ("IT WAS A DARK NIGHT. LET US GO.", "it was a dark night let us go"),
    ("==very important== and **bold** words.", "very important and bold words"),
    ("R&D at 50/50, salt & pepper.", "R and D at fifty fifty salt and pepper"),
    ("It rained - a lot -- all day.", "it rained a lot all day"),
]  # fmt: skip
ALLOWED = 0.1
"""The largest share of wrong letters; most rows are heard without one."""


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Whisper:
    return Whisper(tmp_path_factory.mktemp("whisper"))


def letters(text: str) -> str:
    """Return the letters of a text: "U S B" and "USB" are the same to the ear."""
    return re.sub("[^a-z]", "", folded(re.sub(r"(?<=\w\w)\.(?=\w\w)", " dot ", text)))


@pytest.mark.parametrize(("text", "spoken"), HEARD, ids=lambda value: value[:24])
def test_the_words_are_heard(server: Server, whisper: Whisper, text: str, spoken: str) -> None:
    body = {"model": "hibari", "input": text, "voice": "alloy", "response_format": "pcm", "seed": 1}
    request = urllib.request.Request(
        f"{server.url}/v1/audio/speech",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        samples = np.frombuffer(reply.read(), "<i2").astype(np.float32) / 32768
    heard = whisper.words(samples, 24_000)
    wrong = min(jiwer.cer(letters(said), letters(heard)) for said in alternatives(spoken))
    assert wrong <= ALLOWED, heard
