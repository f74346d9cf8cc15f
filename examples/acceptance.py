"""Seven checks of a running server: what a newcomer tries first.  Needs Python only.

    python examples/acceptance.py [http://127.0.0.1:7861]

Prints a line for each check; the exit status is the number of those that failed.
"""

import json
import sys
import urllib.error
import urllib.request

MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
VOICES = "alloy ash ballad coral echo fable onyx nova sage shimmer verse".split()
FORMATS = {"mp3": b"\xff", "opus": b"OggS", "aac": b"\xff", "flac": b"fLaC", "wav": b"RIFF"}
CHINESE = "你好，欢迎使用语音合成服务，今天是2026年1月6日。"
LONG = "The ferry leaves at seven, and the last bus to the harbour goes at half past six. " * 20
BYTES = 3_000
"""The least size of an answer that has speech in it."""


def get(url):
    """Return the JSON of a page."""
    with urllib.request.urlopen(url, timeout=60) as reply:
        return json.load(reply)


def speak(url, **fields):
    """Return the bytes of a speech request."""
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello there.", **fields}
    request = urllib.request.Request(
        f"{url}/v1/audio/speech",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer unused"},
    )
    with urllib.request.urlopen(request, timeout=300) as reply:
        return reply.read()


def check_models(url):
    """The three models are listed."""
    ids = {model["id"] for model in get(f"{url}/v1/models")["data"]}
    assert ids >= set(MODELS), ids


def check_voices(url):
    """The eleven voices are listed."""
    ids = {voice["id"] for voice in get(f"{url}/v1/audio/voices")["voices"]}
    assert ids >= set(VOICES), ids


def check_each_model(url):
    """Each model speaks."""
    for model in MODELS:
        assert len(speak(url, model=model)) > BYTES, model


def check_each_voice(url):
    """Each voice speaks."""
    for voice in VOICES:
        assert len(speak(url, voice=voice)) > BYTES, voice


def check_formats(url):
    """Each format begins as its files do."""
    for name, start in FORMATS.items():
        audio = speak(url, response_format=name)
        assert audio.startswith(start), (name, audio[:8])
        assert len(audio) > BYTES, name


def check_chinese(url):
    """A Chinese sentence is spoken."""
    assert len(speak(url, input=CHINESE)) > 4 * BYTES


def check_long_text(url):
    """A long text is spoken to its end."""
    assert len(speak(url, input=LONG)) > 40 * BYTES


CHECKS = (
    check_models,
    check_voices,
    check_each_model,
    check_each_voice,
    check_formats,
    check_chinese,
    check_long_text,
)


def main():
    """Run all checks and print how each ends."""
    url = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:7861"
    failed = 0
    for number, check in enumerate(CHECKS, 1):
        try:
            check(url)
            outcome = "passed"
        except urllib.error.HTTPError as error:
            outcome = f"FAILED: {error.code} {error.read().decode(errors='replace')[:300]}"
        except (AssertionError, OSError) as error:
            outcome = f"FAILED: {type(error).__name__} {error}"
        failed += outcome != "passed"
        print(f"{number}. {check.__doc__.rstrip('.')}: {outcome}", flush=True)
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} passed")
    return failed


if __name__ == "__main__":
    sys.exit(main())
