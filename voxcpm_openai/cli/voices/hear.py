"""``voxcpm-openai voices hear``: what a voice sounds like."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import soundfile

from voxcpm_openai.cli.started import started
from voxcpm_openai.cli.voices.house import House
from voxcpm_openai.contracts import Utterance
from voxcpm_openai.voices.catalog import require_speech
from voxcpm_openai.voices.owners import OPERATOR
from voxcpm_openai.voices.takes import Takes

PLAYERS = (
    ("afplay",),
    ("pw-play",),
    ("paplay",),
    ("aplay", "-q"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
)
"""Programs that play a WAV file, as they are found on systems."""

STDIO = "-"


@click.command()
@click.argument("id_", metavar="ID")
@click.option("-o", "--output", help="Write it to this .flac or .wav file (- is stdout: FLAC).")
def hear(id_: str, output: str | None) -> None:
    """Play a sample of the voice or candidate ID, or save it."""
    house = House.open()
    sound = house.candidates.clip(id_, OPERATOR) or _sample(house, id_)
    if output == STDIO:
        sys.stdout.buffer.write(sound)
    elif output is None:
        _play(sound)
    else:
        _save(sound, Path(output))


def _sample(house: House, id_: str) -> bytes:
    voice = house.catalog.get(id_, OPERATOR)
    spec = house.choice().spec
    if voice.audio is not None and spec.name not in voice.options:
        return voice.audio.read_bytes()

    def speak(utterance: Utterance) -> bytes:
        with started(spec, house.settings) as engine:
            require_speech(voice, spec.name, engine.clones)
            ((_, clip),) = Takes(engine, [utterance], 1).clips()
        return clip.flac()

    return house.spoken.get(voice, spec.name, speak)


def _save(sound: bytes, path: Path) -> None:
    if path.suffix.lower() not in (".flac", ".wav"):
        raise click.UsageError(f"'{path.name}' should end in .flac or .wav.")
    try:
        if path.suffix.lower() == ".flac":
            path.write_bytes(sound)
        else:
            samples, rate = soundfile.read(io.BytesIO(sound), dtype="int16")
            soundfile.write(path, samples, rate)
    except (OSError, soundfile.LibsndfileError) as error:
        raise click.ClickException(f"{path} cannot be written: {error}") from error


def _play(sound: bytes) -> None:
    player = next((p for p in PLAYERS if shutil.which(p[0])), None)
    if player is None:
        raise click.ClickException(
            "no program that plays sound is here; save it with -o sample.wav instead."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.wav"
        _save(sound, path)
        done = subprocess.run([*player, str(path)], check=False)
    if done.returncode:
        raise click.ClickException(
            f"{player[0]} could not play it; save it with -o sample.wav instead."
        )
