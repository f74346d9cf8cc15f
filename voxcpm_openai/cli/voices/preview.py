"""``voxcpm-openai voices preview``: play or save a preview of a voice."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import soundfile

from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Utterance
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.voices.library import speaker_source
from voxcpm_openai.voices.preview import BatchSynthesis

PLAYERS = (
    ("afplay",),
    ("pw-play",),
    ("paplay",),
    ("aplay", "-q"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
)
"""Programs that play a WAV file."""

STDIO = "-"


@click.command()
@click.argument("id_", metavar="ID")
@click.option("-o", "--output", help="Write it to this .flac or .wav file (- is stdout: FLAC).")
def preview(id_: str, output: str | None) -> None:
    """Play a preview of the voice or candidate ID, or save it."""
    ctx = AppContext.open(load_settings())
    audio = ctx.candidates.clip(id_, OPERATOR) or _voice_preview(ctx, id_)
    if output == STDIO:
        sys.stdout.buffer.write(audio)
    elif output is None:
        _play(audio)
    else:
        _save(audio, Path(output))


def _voice_preview(ctx: AppContext, id_: str) -> bytes:
    voice = ctx.voices.get(id_, OPERATOR)

    def synthesize(utterance: Utterance) -> bytes:
        with ctx.running_engine() as engine:
            capabilities, hint = engine.capabilities, ctx.other_engines
            speaker_source(voice, ctx.engine.name, capabilities, hint=hint)
            ((_, clip),) = BatchSynthesis(engine, [utterance], 1).synthesize_all()
        return clip.flac()

    return ctx.previews.get(voice, ctx.engine.name, synthesize).content


def _save(audio: bytes, path: Path) -> None:
    if path.suffix.lower() not in (".flac", ".wav"):
        raise click.UsageError(f"'{path.name}' must end in .flac or .wav.")
    try:
        if path.suffix.lower() == ".flac":
            path.write_bytes(audio)
        else:
            samples, rate = soundfile.read(io.BytesIO(audio), dtype="int16")
            soundfile.write(path, samples, rate)
    except (OSError, soundfile.LibsndfileError) as error:
        raise click.ClickException(f"{path} cannot be written: {error}") from error


def _play(audio: bytes) -> None:
    player = next((p for p in PLAYERS if shutil.which(p[0])), None)
    if player is None:
        raise click.ClickException("no audio player was found; save it with -o sample.wav instead.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.wav"
        _save(audio, path)
        done = subprocess.run([*player, str(path)], check=False)
    if done.returncode:
        raise click.ClickException(
            f"{player[0]} cannot play it; save it with -o sample.wav instead."
        )
