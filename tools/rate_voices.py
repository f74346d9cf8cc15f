"""Rates the embedded engine's voices with two predictors of listeners' opinions.

    python -m venv /tmp/rate && . /tmp/rate/bin/activate
    pip install torch==2.13.0
    pip install -e . librosa requests
    pip install --no-deps speechmos distillmos xls-r-sqa==0.1.0 espeakng-loader
    python tools/rate_voices.py [VOICE ...]

Run it in a checkout, in an environment of its own: its packages are large and the server needs none
of them.  Take torch's CPU build (2.13.0 is one; a bare ``torch`` may bring gigabytes of CUDA).
``distillmos`` asks for torchaudio, which it uses for reading files only: it is installed without
its dependencies, and this tool puts an empty module in torchaudio's place.

Prints DNSMOS (overall, package ``speechmos``) and DistillMOS, both from 1 to 5, as means over
``SENTENCES``, for each voice, for hibari's own voice as it is, and for espeak-ng if it is on the
path or in the package ``espeakng-loader``.  The predictors hear 16 kHz: nothing above 8 kHz counts.
They find bad voices; differences of 0.1 mean nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import io
import shutil
import subprocess
import sys
import tempfile
import tomllib
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from voxcpm_openai import Segment, Settings, Utterance, Voice

Array = npt.NDArray[np.float32]
Speaker = Callable[[str, int], tuple[Array, int]]
"""Speaks a text with a seed; returns mono samples of shape (n,) and their rate in Hz."""

ROOT = Path(__file__).parent.parent
RATE = 16_000
"""Hz; what both predictors want."""
SENTENCES = (
    "A cold wind blew across the empty square, and nobody stayed to talk.",
    "Could you tell me which platform the next train leaves from?",
    "He carried the heavy box up the stairs and put it down by the window.",
    "The museum is open every day except on Monday.",
    "She laughed so loudly that everybody in the room turned around.",
    "My grandmother still bakes her own bread on Sunday morning.",
    "We should have left an hour ago, but the rain would not stop.",
    "The first chapter describes a small fishing village on the north coast.",
    "Thank you very much for your help, I really needed it today!",
    "A thick layer of snow covered the roofs and the narrow streets.",
    "What would you do if somebody offered you a job in another country?",
    "The judge asked the witness to repeat what she had seen that night.",
)
"""Twelve plain sentences, none of them among those of the tests."""


class Predictors:
    """DNSMOS and DistillMOS."""

    def __init__(self) -> None:
        sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
        import distillmos
        import torch
        from speechmos import dnsmos

        self._torch, self._dnsmos = torch, dnsmos
        with contextlib.redirect_stdout(io.StringIO()):  # it prints where its weights are
            self._distillmos = distillmos.ConvTransformerSQAModel().eval()

    def __call__(self, samples: Array, rate: int) -> tuple[float, float]:
        """Rate mono samples of shape (n,) at ``rate`` Hz; return DNSMOS and DistillMOS."""
        speech = np.clip(soxr.resample(samples, rate, RATE), -1, 1).astype(np.float32)
        overall = self._dnsmos.run(speech, sr=RATE)["ovrl_mos"]
        with self._torch.inference_mode():
            distilled = self._distillmos(self._torch.from_numpy(speech)[None])
        return float(overall), float(distilled)


def embedded() -> tuple[Speaker, dict[str, Speaker]]:
    """Return hibari's own voice as it is, and the voices of the embedded engine by id."""
    from hibari import SAMPLE_RATE, Hibari

    path = ROOT / "plugins" / "embedded_engine.py"
    spec = importlib.util.spec_from_file_location("embedded_engine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    engine, hibari = module.start(Settings(threads=1)), Hibari(threads=1)

    def unshaped(text: str, seed: int) -> tuple[Array, int]:
        return hibari(text, seed=seed), SAMPLE_RATE

    def speaker(voice: Voice) -> Speaker:
        def speak(text: str, seed: int) -> tuple[Array, int]:
            stream = engine.synthesize(Utterance((Segment(text),), voice, seed=seed))
            return np.concatenate([chunk.samples for chunk in stream]), SAMPLE_RATE

        return speak

    return unshaped, {voice.id: speaker(voice) for voice in stock_voices()}


def stock_voices() -> Iterator[Voice]:
    """Yield the built-in voices with options for hibari."""
    for path in sorted(ROOT.glob("voices/*.toml")):
        table: dict[str, Any] = tomllib.loads(path.read_text())
        if "hibari" in table.get("options", {}):
            yield Voice(path.stem, table["name"], options=table["options"])


def espeak() -> Speaker | None:
    """Return espeak-ng's American voice: the program, else the package, else None."""
    program = shutil.which("espeak-ng")
    if program:
        return lambda text, _seed: espeak_program(program, text)
    if importlib.util.find_spec("espeakng_loader"):
        return espeak_library()
    return None


def espeak_program(program: str, text: str) -> tuple[Array, int]:
    """Speak with the program ``espeak-ng``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run([program, "-v", "en-us", "-w", path, text], check=True)
        samples, rate = soundfile.read(path, dtype="float32")
        return samples, rate


def espeak_library() -> Speaker:
    """Return a speaker that uses the library in the package ``espeakng-loader``."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0)
    library.espeak_SetVoiceByName(b"en-us")
    parts: list[Array] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(samples: Any, count: int, _events: Any) -> int:
        if samples and count:
            parts.append(np.ctypeslib.as_array(samples, (count,)).astype(np.float32) / 32768)
        return 0

    library.espeak_SetSynthCallback(collect)

    def speak(text: str, _seed: int, _keep: Any = collect) -> tuple[Array, int]:
        parts.clear()
        written = text.encode()
        # From the start (0, in characters: 1) to the end (0); 1: the text is UTF-8.
        library.espeak_Synth(written, ctypes.c_size_t(len(written) + 1), 0, 1, 0, 1, None, None)
        return np.concatenate(parts), rate

    return speak


def rate_speaker(predictors: Predictors, speaker: Speaker) -> tuple[float, float]:
    """Return the means of DNSMOS and DistillMOS over the sentences."""
    rows = [predictors(*speaker(text, seed)) for seed, text in enumerate(SENTENCES)]
    dnsmos, distillmos = np.mean(rows, axis=0)
    return float(dnsmos), float(distillmos)


@click.command()
@click.argument("voices", nargs=-1)
def main(voices: tuple[str, ...]) -> None:
    """Rate VOICES (ids; without any: all built-in voices of the embedded engine)."""
    predictors = Predictors()
    unshaped, shaped = embedded()
    unknown = set(voices) - set(shaped)
    if unknown:
        raise click.UsageError(f"no such voice: {', '.join(sorted(unknown))}")
    click.echo("| voice | DNSMOS | DistillMOS |\n|---|---|---|")

    def row(name: str, speaker: Speaker) -> tuple[float, float]:
        ratings = rate_speaker(predictors, speaker)
        click.echo(f"| {name} | {ratings[0]:.2f} | {ratings[1]:.2f} |")
        return ratings

    other = espeak()
    if other:
        row("espeak-ng", other)
    else:
        click.echo("| espeak-ng | not installed | |")
    row("hibari, as it is", unshaped)
    ratings = [row(name, shaped[name]) for name in voices or shaped]
    means = np.mean(ratings, axis=0)
    click.echo(f"| mean of {len(ratings)} voices | {means[0]:.2f} | {means[1]:.2f} |")


if __name__ == "__main__":
    main()
