"""Checks a VoxCPM checkpoint: its files, its tensors, and one sentence spoken in each mode.

    python tools/check_checkpoint.py FOLDER [--json]

Run it in a checkout, with ``pip install -e '.[voxcpm]'``.  It compares ``config.json``, the names,
shapes and dtypes of all tensors and the rope factors with the published models, then loads the
checkpoint, speaks without a clip, from a prompt clip and for VoxCPM2 from a reference clip, and
says in plain words what fits.  The exit status is 0 if all that the server needs does.

The runtime was written without access to the published weights: please report what this prints.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import platform
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import torch

from voxcpm_openai import __version__
from voxcpm_openai.errors import StartError, VoxcpmError
from voxcpm_openai.runtime.device import devices
from voxcpm_openai.runtime.device.loader import load_model
from voxcpm_openai.runtime.device.memory import GIB, tensor_bytes
from voxcpm_openai.runtime.device.outline import Outline, outline
from voxcpm_openai.runtime.device.speech_sample import NO_CLIP, Speaker, SpeechSample
from voxcpm_openai.runtime.loading.checkpoint import Checkpoint
from voxcpm_openai.runtime.loading.files import MODEL_FILES, VAE_FILES
from voxcpm_openai.runtime.loading.inspection import compare, is_legacy, tensors_of, usual_dtype
from voxcpm_openai.runtime.loading.published import MODELS, PublishedModel
from voxcpm_openai.runtime.loading.shapes import Shapes
from voxcpm_openai.runtime.loading.tokenizer import TextTokenizer
from voxcpm_openai.runtime.model.config import ModelConfig, parse

logger = logging.getLogger(__name__)

VOICES = Path(__file__).parent.parent / "voices"
CLIP = "alloy"
"""The stock voice whose clip is used."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.float32}
FLOATS = ("float32", "bfloat16", "float16", "float64")
SHOWN = 4
"""The most names that a line lists."""
OK, NOTE, WRONG = "ok", "note", "WRONG"
COLOURS = {OK: "green", NOTE: "yellow", WRONG: "red"}


@dataclass
class Report:
    """What was found.  Lines are printed as they come unless ``quiet``."""

    quiet: bool
    findings: list[dict[str, str]] = field(default_factory=list)
    speech: list[dict[str, Any]] = field(default_factory=list)

    def add(self, level: str, what: str, text: str) -> None:
        """Add a line; of a longer text the first one."""
        text = text.partition("\n")[0]
        self.findings.append({"level": level, "what": what, "text": text})
        if not self.quiet:
            click.echo(f"{click.style(f'{level:5}', fg=COLOURS[level])}  {what:20}  {text}")

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding["level"] != WRONG for finding in self.findings)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps or xpu.")
@click.option("--dtype", type=click.Choice(["auto", *DTYPES]), default="auto")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def main(folder: Path, device: str, dtype: str, as_json: bool) -> None:
    """Check the checkpoint in FOLDER."""
    report = Report(quiet=as_json)
    if device == "auto":
        try:
            device = devices.choose(device)
        except StartError as error:
            raise click.ClickException(str(error)) from error
    if dtype == "auto":
        dtype = "float32" if device in ("cpu", "mps") else "bfloat16"
    environment = describe_machine(device, dtype)
    if not as_json:
        click.echo("  ".join(f"{name} {value}" for name, value in environment.items()))
    expected = check_files(report, folder, DTYPES[dtype])
    if report.ok and expected is not None:
        check_speech(report, folder, expected, device, dtype)
    if as_json:
        content = {"folder": str(folder), "environment": environment, **asdict(report)}
        del content["quiet"]
        click.echo(json.dumps({"ok": report.ok, **content}, indent=2))
    else:
        wrong = sum(finding["level"] == WRONG for finding in report.findings)
        click.echo("the checkpoint fits" if report.ok else f"it does not fit; wrong: {wrong}")
    sys.exit(not report.ok)


def describe_machine(device: str, dtype: str) -> dict[str, str]:
    """Return what a report needs to be understood."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = {f"cuda:{index}": torch.cuda.get_device_name(index) for index in range(gpus)}
    shown = names.get("cuda:0" if device == "cuda" else device)
    return {
        "voxcpm-openai": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": shown or f"{device} {platform.machine()}",
        "dtype": dtype,
    }


def check_files(report: Report, folder: Path, dtype: torch.dtype) -> Outline | None:
    """Check all files of the folder; return what is expected of it if its configuration is right.

    One wrong file does not hide another.
    """
    if not folder.is_dir():
        report.add(WRONG, "folder", f"{folder} is not a folder.")
        return None
    expected, content = None, {}
    with reporting(report, "config.json"):
        content = Checkpoint(folder).config()
        config = parse(content)
        expected = outline(config, dtype)
        check_config(report, config, content)
    with reporting(report, "tokenizer.json"):
        TextTokenizer(Checkpoint(folder).tokenizer())
        report.add(OK, "tokenizer.json", "it can be read.")
    model, vae = (expected.tensors, expected.vae_tensors) if expected else (None, None)
    check_tensors(report, folder, MODEL_FILES, model, str(content.get("dtype", "bfloat16")))
    check_tensors(report, folder, VAE_FILES, vae, "float32")
    return expected


@contextmanager
def reporting(report: Report, what: str) -> Iterator[None]:
    """Make an error of the block a line of the report; of an unexpected one also the type."""
    try:
        yield
    except VoxcpmError as error:
        report.add(WRONG, what, str(error))
    except Exception as error:  # a report of a fault of ours needs the trace, too
        logger.exception("an unexpected error in %s", what)
        report.add(WRONG, what, f"{type(error).__name__}: {error}")


def check_config(report: Report, config: ModelConfig, content: dict[str, Any]) -> None:
    """Find the published model that the configuration is closest to, and the differences."""
    compared = [(model, differences(config, parse(dict(model.config)))) for model in MODELS]
    model, found = min(compared, key=lambda pair: len(pair[1]))
    if found:
        report.add(NOTE, "config.json", f"it differs from {model.name}'s: {listed(found)}.")
    else:
        report.add(OK, "config.json", f"{model.name}, with the published values.")
    check_rope(report, config, content, model)


def differences(ours: object, theirs: object, path: str = "") -> list[str]:
    """Return the fields that differ; rotary positions are compared by themselves."""
    if not dataclasses.is_dataclass(ours) or type(ours) is not type(theirs):
        name = path.removesuffix(".")
        return [] if ours == theirs else [f"{name} is {ours}, published {theirs}"]
    return [
        difference
        for part in dataclasses.fields(ours)
        if part.name != "rope"
        for difference in differences(
            getattr(ours, part.name), getattr(theirs, part.name), f"{path}{part.name}."
        )
    ]


def check_rope(
    report: Report, config: ModelConfig, content: dict[str, Any], model: PublishedModel
) -> None:
    """Compare the factors of the rotary positions with those of the published ``model``."""
    rope = config.base.rope
    if rope is None:
        report.add(NOTE, "rope", "the language model has no rotary positions.")
        return
    scaling = content["lm_config"]["rope_scaling"]
    alike = scaling.get("long_factor") == scaling.get("short_factor")
    text = f"{len(rope.factors)} factors from {min(rope.factors):.3f} to {max(rope.factors):.3f}, "
    text += f"long {'=' if alike else 'not'} short, scale {rope.scale:.3f}"
    if alike and rope == parse(dict(model.config)).base.rope:
        report.add(OK, "rope", f"{text}, as published.")
    else:
        report.add(NOTE, "rope", f"{text}; other than {model.name}'s.")


def check_tensors(
    report: Report, folder: Path, names: Sequence[str], expected: Shapes | None, dtype: str
) -> None:
    """Compare a file with the ``expected`` tensors, of which most should have ``dtype``."""
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        report.add(
            WRONG,
            names[-1],
            f"it is missing; there is no {' and no '.join(names)}. `voxcpm-openai pull` resumes a "
            "download that was cut off.",
        )
        return
    with reporting(report, path.name):
        report_tensors(report, path, expected, dtype)


def report_tensors(report: Report, path: Path, expected: Shapes | None, dtype: str) -> None:
    """Compare the tensors of a file that exists."""
    found = tensors_of(path)
    if is_legacy(path):
        report.add(NOTE, path.name, "it is in torch's format before 1.6, which is no archive.")
    if expected is None:
        report.add(NOTE, path.name, f"it has {len(found)} tensors, which cannot be compared.")
        return
    fit = compare(found, expected)
    usual = usual_dtype(fit)
    share = "all" if len(fit.dtypes) == 1 else "most"
    text = f"{fit.fitting} of {len(expected)} tensors fit, {share} in {usual or 'no dtype'}"
    unused = f"; {len(fit.unused)} more are unused, as published"
    report.add(OK, path.name, f"{text}{unused if fit.unused else ''}.")
    if fit.missing:
        report.add(WRONG, path.name, f"missing: {listed(fit.missing)}.")
    if fit.misshaped:
        report.add(WRONG, path.name, f"of another shape: {listed(fit.misshaped)}.")
    if fit.unexpected:
        report.add(NOTE, path.name, f"unexpected: {listed(fit.unexpected)}.")
    if usual and usual != dtype:
        report.add(NOTE, path.name, f"most are {usual}, not {dtype}; they are converted.")
    for other in fit.dtypes.keys() - {usual}:
        level, what = (NOTE, "converted") if other in FLOATS else (WRONG, "no numbers to use")
        report.add(level, path.name, f"in {other} ({what}): {listed(fit.dtypes[other])}.")


def check_speech(report: Report, folder: Path, expected: Outline, device: str, dtype: str) -> None:
    """Load the checkpoint and speak in each mode.  No error is more than a line."""
    size = tensor_bytes(expected.model)
    if device == "cpu" and size > (available := available_bytes()):
        needed = f"it takes {size / GIB:.1f} GiB in {dtype}, and {available / GIB:.1f} are free"
        report.add(WRONG, "load", f"not loaded: {needed}; try --dtype bfloat16 or a GPU.")
        return
    speaker = None
    with reporting(report, "load"):
        begun = time.perf_counter()
        model = load_model(folder, device, dtype)
        seconds = time.perf_counter() - begun
        report.add(OK, "load", f"{size / GIB:.2f} GiB in {dtype} on {device}, {seconds:.1f} s.")
        transcript = tomllib.loads((VOICES / f"{CLIP}.toml").read_text("utf-8"))["transcript"]
        speaker = Speaker(model, VOICES / f"{CLIP}.flac", transcript)
    for mode in speaker.modes if speaker else ():
        with reporting(report, mode):
            report_sample(report, speaker.speak(mode))


def report_sample(report: Report, sample: SpeechSample) -> None:
    """Report the audio of a mode, and its times."""
    report.speech.append(asdict(sample))
    clip = "" if sample.mode == NO_CLIP else f"clip {sample.prepare_ms:.0f} ms, "
    text = (
        f"{sample.seconds:.1f} s of audio: {clip}first patch {sample.first_ms:.0f} ms, others "
        f"{sample.patch_ms:.1f} ms each, real-time factor {sample.real_time_factor:.3f}"
    )
    if sample.faults:
        report.add(WRONG, sample.mode, f"{'; '.join(sample.faults)} ({text}).")
    else:
        report.add(OK, sample.mode, f"{text}.")


def available_bytes() -> float:
    """Return the memory that is available on this machine, or infinity if it does not say so."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:  # not Linux
        return float("inf")
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return 1024 * float(next(found, "inf"))


def listed(names: Sequence[str]) -> str:
    """Return the first names, and the number of the others."""
    others = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + others


if __name__ == "__main__":
    main()
