"""Playing samples while they are made, by the package ``sounddevice`` or by a program."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

import click

Play = Callable[[bytes], object]
"""Takes samples (16 bits, little-endian, mono), and waits while enough are buffered."""

STREAMING: Mapping[str, str] = {
    "ffplay": "-nodisp -autoexit -loglevel error -f wav -i -",
    "paplay": "--raw --format=s16le --channels=1 --rate={rate}",
    "aplay": "-q -t raw -f S16_LE -c 1 -r {rate} -",
}
"""Programs that play what they read from standard input, and their arguments."""
FILES = ("afplay", "pw-play")
"""Programs that play a whole WAV file only."""
NO_PLAYER = (
    "nothing here can play audio. Install the package sounddevice (pip install "
    "'voxcpm-openai[play]'; on Linux it needs PortAudio, Debian's libportaudio2), or a program: "
    "ffplay (of ffmpeg), paplay or aplay (of alsa-utils). Or save the audio with -o."
)
UNKNOWN = 0xFFFFFFFF
"""The size of what has no end yet, in a header."""
INSTEAD = "Save the audio with -o instead."


def require_player() -> None:
    """Raise ClickException, which says what to install, if nothing can play audio."""
    if _sounddevice() is None and _program() is None:
        raise click.ClickException(NO_PLAYER)


@contextmanager
def playing(rate: int) -> Iterator[Play]:
    """Yield what plays samples at ``rate`` Hz; all has been played when the block ends.

    After an exception, playing stops at once.  Raises ClickException.
    """
    device, program = _sounddevice(), _program()
    if device is not None:
        with _device(device, rate) as play:
            yield play
    elif program is None:
        raise click.ClickException(NO_PLAYER)
    elif program in FILES:
        with _file(program, rate) as play:
            yield play
    else:
        with _stream(program, rate) as play:
            yield play


def _sounddevice() -> Any:
    """Return the module if it and PortAudio are installed."""
    try:
        import sounddevice
    except (ImportError, OSError):
        return None
    return sounddevice


def _program() -> str | None:
    return next((name for name in (*STREAMING, *FILES) if shutil.which(name)), None)


@contextmanager
def _device(sounddevice: Any, rate: int) -> Iterator[Play]:
    try:
        with sounddevice.RawOutputStream(samplerate=rate, channels=1, dtype="int16") as stream:
            try:
                yield stream.write
            except BaseException:
                stream.abort()
                raise
    except sounddevice.PortAudioError as error:
        raise click.ClickException(
            f"the audio device cannot be used: {error}. {INSTEAD}"
        ) from error


@contextmanager
def _stream(program: str, rate: int) -> Iterator[Play]:
    """Let a program play what it reads from standard input."""
    with _started([program, *STREAMING[program].format(rate=rate).split()]) as player:

        def play(samples: bytes) -> None:
            try:
                player.input.write(samples)
                player.input.flush()
            except BrokenPipeError:
                raise player.failure() from None

        if program == "ffplay":
            play(wav_header(rate))
        yield play
        player.wait()


@contextmanager
def _file(program: str, rate: int) -> Iterator[Play]:
    """Let a program play a WAV file, once all of it is there."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        with wave.open(file.name, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(rate)
            yield sound.writeframesraw
        with _started([program, file.name]) as player:
            player.wait()


class _Player:
    """A program that plays."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        """``errors``: the file of its standard error."""
        assert process.stdin is not None
        self.input = process.stdin
        self._process, self._errors = process, errors

    def wait(self) -> None:
        """Wait until all has been played.  Raises ClickException."""
        with suppress(BrokenPipeError):
            self.input.close()
        if self._process.wait():
            raise self.failure()

    def failure(self) -> click.ClickException:
        """Return what the program says of its end."""
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit status {status}"
        name = str(self._process.args[0]) if isinstance(self._process.args, list) else "player"
        return click.ClickException(f"{name} cannot play the audio: {reason}. {INSTEAD}")


@contextmanager
def _started(command: list[str]) -> Iterator[_Player]:
    """Start a program for a block, and end it with the block."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
        )
        player = _Player(process, errors)
        try:
            yield player
        finally:
            process.kill()
            process.wait()
            with suppress(BrokenPipeError):
                player.input.close()


def wav_header(rate: int) -> bytes:
    """Return the header of a WAV stream of 16-bit samples at ``rate`` Hz, of unknown length."""
    sizes = "<4sI4s4sIHHIIHH4sI"
    facts = (b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return struct.pack(sizes, b"RIFF", UNKNOWN, b"WAVE", *facts, b"data", UNKNOWN)
