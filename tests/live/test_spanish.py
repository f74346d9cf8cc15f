"""Spanish out of the box: what is heard of the thirteen voices, and of a voice of Kokoro's."""

from __future__ import annotations

import json
import re
import urllib.request

import jiwer
import numpy as np
import numpy.typing as npt
import pytest

from tests.support.live_server import Server
from tests.support.whisper import Whisper
from voxcpm_openai.embedded.spanish import SpanishPhonemizer

SENTENCES = [
    "Hoy hace buen tiempo y vamos a pasear por el parque.",
    "Perdone, ¿dónde está la estación de tren?",
    "Quiero comprar un billete para el tren de las tres de la tarde.",
    "Mi hermano trabaja en una oficina pequeña cerca del centro.",
    "Ella se levanta todos los días a las seis de la mañana.",
    "Este libro es muy interesante, ya lo he leído dos veces.",
    "Mi madre cocina y mi padre ve la televisión.",
    "¿Prefieres tomar té o café?",
    "Anoche llovió mucho en toda la ciudad.",
    "El médico le dijo que descansara una semana.",
    "Los niños juegan en el jardín detrás de la escuela.",
    "¿Cuánto cuesta esta camisa azul?",
    "Su cumpleaños es el veintiocho de septiembre.",
    "Por favor, cierra la puerta, que hace frío fuera.",
    "Vivimos en este país desde hace más de diez años.",
    "La reunión empieza a las nueve y media en la sala grande.",
    "Había mucha gente en la calle ayer por la noche.",
    "Me gustaría aprender a tocar la guitarra.",
    "El señor García compró quince manzanas y veinte naranjas.",
    "Muchas gracias por tu ayuda, hasta mañana.",
]
"""Twenty plain sentences."""
VOICES = (
    "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse ef_dora em_alex"
).split()
WORDS, SOUNDS = 0.1, 0.03
"""The largest shares of wrong words, and of wrong phonemes: "yo vió" sounds like "llovió"."""


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Whisper:
    return Whisper(tmp_path_factory.mktemp("whisper"))


def speak(server: Server, text: str, voice: str) -> npt.NDArray[np.float32]:
    body = {
        "model": "tts-1",
        "input": text,
        "voice": voice,
        "language": "es",
        "response_format": "pcm",
        "seed": 1,
    }
    request = urllib.request.Request(
        f"{server.url}/v1/audio/speech",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as reply:
        assert reply.headers["x-voxcpm-ignored"] is None
        return np.frombuffer(reply.read(), "<i2").astype(np.float32) / 32768


def plain(text: str) -> str:
    return " ".join(re.findall(r"[^\W\d_]+", text.lower()))


def sounds(words: str) -> str:
    """Return the phonemes of words, without their borders and stress."""
    return re.sub("[ ˈ]", "", SpanishPhonemizer()(words))


def test_the_words_of_spanish_are_heard(server: Server, whisper: Whisper) -> None:
    said, heard = [], []
    for number, text in enumerate(SENTENCES):
        sound = speak(server, text, VOICES[number % len(VOICES)])
        said.append(plain(text))
        heard.append(plain(whisper.words(sound, 24_000, "es")) or "-")
    assert jiwer.wer(said, heard) <= WORDS, list(zip(said, heard, strict=True))
    assert jiwer.cer(list(map(sounds, said)), list(map(sounds, heard))) <= SOUNDS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "El libro cuesta 21 € y tiene 340 páginas.",
            "veintiún euros y tiene trescientas cuarenta",
        ),
        ("La reunión es el 28/09/2025 a las 8:30.", "septiembre de dos mil veinticinco a las ocho"),
    ],
)
def test_written_forms_are_heard_as_words(
    server: Server, whisper: Whisper, text: str, words: str
) -> None:
    assert words in plain(whisper.words(speak(server, text, "alloy"), 24_000, "es"))
