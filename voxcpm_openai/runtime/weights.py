"""A folder or a hub id to a checkpoint's files on disk: the only place that downloads."""

from __future__ import annotations

from pathlib import Path

from voxcpm_openai.errors import StartError

FILES = ["*.json", "*.safetensors", "*.bin", "*.pth"]
"""What a checkpoint is made of; the hub's repositories hold pictures and demos too."""

NEEDED = "config.json, tokenizer.json, model.safetensors (or pytorch_model.bin) and audiovae.pth"


class WeightsError(StartError):
    """The checkpoint is not on disk, or cannot be fetched; the message says what to do."""


def find(model: str) -> Path:
    """Return the folder of a checkpoint: the one named, or the hub's copy of it on this disk.

    Downloads nothing.  Raises WeightsError, which says how to get the files.
    """
    if (folder := Path(model).expanduser()).is_dir():
        return folder
    if _looks_like_path(model):
        raise WeightsError(f"VOXCPM_MODEL = {model!r}: there is no such folder.")
    try:
        return _snapshot(model, offline=True)
    except (OSError, ValueError) as error:  # LocalEntryNotFoundError is an OSError
        raise WeightsError(
            f"VOXCPM_MODEL = {model!r}: its files are not on this machine. Fetch them with "
            f"`voxcpm-openai pull {model}`, or put {NEEDED} into a folder and name the folder "
            "in VOXCPM_MODEL."
        ) from error


def pull(model: str) -> Path:
    """Download a checkpoint from the hub, with progress bars, going on where it was cut off.

    Returns its folder.  Raises WeightsError, which names a folder that can be filled by hand.
    """
    if Path(model).expanduser().is_dir() or _looks_like_path(model):
        raise WeightsError(f"{model!r} is a folder, not the id of a checkpoint on the hub.")
    try:
        return _snapshot(model, offline=False)
    except (OSError, ValueError) as error:
        by_hand = Path.home() / "voxcpm" / model.rpartition("/")[2]
        raise WeightsError(
            f"{model!r} cannot be fetched: {error}. You can put {NEEDED} into a folder by hand, "
            f"such as {by_hand}, and start with VOXCPM_MODEL={by_hand}."
        ) from error


def _snapshot(model: str, *, offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model, allow_patterns=FILES, local_files_only=offline))


def _looks_like_path(model: str) -> bool:
    return model.startswith((".", "/", "~")) or model.count("/") != 1
