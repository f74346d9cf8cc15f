"""Mandarin out of the box: the acceptance checks, and what is heard."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

import jiwer
import numpy as np
import numpy.typing as npt
import pytest

from tests.support import EXAMPLES
from tests.support.live_server import Server
from tests.support.whisper import Whisper

pypinyin = pytest.importorskip("pypinyin")

SENTENCES = [
    "今天天气很好，我们去公园散步吧。",
    "请问去火车站怎么走？",
    "我想坐下午三点的火车。",
    "他每天早上六点起床，然后去跑步。",
    "这本书非常有意思，我已经看了两遍。",
    "妈妈在厨房里做饭，爸爸在看电视。",
    "你喜欢喝茶还是喝咖啡？",
    "昨天晚上下了一场大雨。",
    "我们公司在北京的东边。",
    "老师说明天没有作业。",
    "这件衣服多少钱？",
    "他的生日是九月二十八日。",
    "请把门关上，外面很冷。",
    "我弟弟在大学学习中文。",
    "春天来了，花都开了。",
    "医生让他在家休息一个星期。",
    "火车马上就要开了，请快一点。",
    "我们一起去看电影，好吗？",
    "他会说英语，也会说一点法语。",
    "谢谢你的帮助，再见。",
]
"""Twenty plain sentences."""
VOICES = ("alloy", "ash", "coral", "onyx", "nova")
PROMPT = "以下是普通话的句子。"
ALLOWED = 0.05
"""The largest share of wrong syllables over all sentences."""


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Whisper:
    return Whisper(tmp_path_factory.mktemp("whisper"))


def speak(server: Server, text: str, voice: str) -> npt.NDArray[np.float32]:
    body = {"model": "tts-1", "input": text, "voice": voice, "response_format": "pcm", "seed": 1}
    request = urllib.request.Request(
        f"{server.url}/v1/audio/speech",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as reply:
        return np.frombuffer(reply.read(), "<i2").astype(np.float32) / 32768


def syllables(text: str) -> str:
    """Return the pinyin of the Chinese characters, without tones."""
    return " ".join(pypinyin.lazy_pinyin(text, errors="ignore"))


def test_the_seven_checks_of_a_newcomer_pass(server: Server) -> None:
    command = [sys.executable, str(EXAMPLES / "acceptance.py"), server.url]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stdout
    assert "7 of 7 passed" in shown.stdout


def test_the_syllables_of_mandarin_are_heard(server: Server, whisper: Whisper) -> None:
    said, heard = [], []
    for number, text in enumerate(SENTENCES):
        sound = speak(server, text, VOICES[number % len(VOICES)])
        said.append(syllables(text))
        words = whisper.words(sound, 24_000, "zh", PROMPT, timestamps=False)
        heard.append(syllables(words) or "-")
    assert jiwer.wer(said, heard) <= ALLOWED, list(zip(said, heard, strict=True))


@pytest.mark.parametrize(
    ("text", "english", "mandarin"),
    [
        ("我们学习 the history of music 这门课。", "history", "women xuexi"),
        ("He said good morning everyone, 然后大家都笑了。", "morning", "dajia"),
    ],
)
def test_a_mixed_sentence_is_heard_in_both_languages(
    server: Server, whisper: Whisper, text: str, english: str, mandarin: str
) -> None:
    sound = speak(server, text, "alloy")
    assert english in whisper.words(sound, 24_000).lower()
    heard = syllables(whisper.words(sound, 24_000, "zh", PROMPT)).replace(" ", "")
    assert mandarin.replace(" ", "")[:6] in heard
