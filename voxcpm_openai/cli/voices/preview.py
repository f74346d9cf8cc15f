"""``voxcpm-openai voices preview``: play or save a preview of a voice."""

from __future__ import annotations

import io
from pathlib import Path

import click
import soundfile

from voxcpm_openai.cli.completion import complete_voice
from voxcpm_openai.cli.output import checked, is_special, opened
from voxcpm_openai.cli.player import playing, require_player
from voxcpm_openai.context import AppContext
from voxcpm_openai.contracts import Utterance, Voice
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.voices.library import speaker_source
from voxcpm_openai.voices.preview import BatchSynthesis

ENDINGS = (".flac", ".wav")


@click.command()
@click.argument("id_", metavar="ID", shell_complete=complete_voice)
@click.option(
    "-o",
    "--output",
    callback=checked,
    help="Write it to this .flac or .wav file (- is stdout: FLAC).",
)
def preview(id_: str, output: str | None) -> None:
    """Play a preview of the voice or candidate ID, or save it."""
    if output is not None and not (_ending(output) or is_special(output)):
        raise click.UsageError(f"'{Path(output).name}' must end in .flac or .wav.")
    ctx = AppContext.open(load_settings())
    audio = ctx.candidates.clip(id_, OPERATOR)
    voice = None if audio else ctx.voices.get(id_, OPERATOR)
    if output is None:
        require_player()
    if voice is not None:
        audio = _voice_preview(ctx, voice)
    assert audio is not None
    if output is None:
        _play(audio)
    else:
        _save(audio, output)


def _ending(output: str) -> str | None:
    return next((ending for ending in ENDINGS if output.lower().endswith(ending)), None)


def _voice_preview(ctx: AppContext, voice: Voice) -> bytes:
    def synthesize(utterance: Utterance) -> bytes:
        with ctx.running_engine() as engine:
            capabilities, hint = engine.capabilities, ctx.other_engines
            speaker_source(voice, ctx.engine.name, capabilities, hint=hint)
            ((_, clip),) = BatchSynthesis(engine, [utterance], 1).synthesize_all()
        return clip.flac()

    return ctx.previews.get(voice, ctx.engine.name, synthesize).content


def _save(audio: bytes, output: str) -> None:
    """Write a FLAC, or the WAV of it."""
    if _ending(output) == ".wav":
        samples, rate = soundfile.read(io.BytesIO(audio), dtype="int16")
        wav = io.BytesIO()
        soundfile.write(wav, samples, rate, format="WAV")
        audio = wav.getvalue()
    with opened(output) as file:
        file.write(audio)


def _play(audio: bytes) -> None:
    samples, rate = soundfile.read(io.BytesIO(audio), dtype="int16", always_2d=True)
    with playing(rate) as play:
        play(samples[:, 0].tobytes())  # (n, channels)
