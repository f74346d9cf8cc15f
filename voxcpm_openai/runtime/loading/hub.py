"""Checkpoints on disk, by folder or hub id.  The only module that downloads."""

from __future__ import annotations

from pathlib import Path

from voxcpm_openai.runtime.errors import HubError
from voxcpm_openai.runtime.loading import checksums, files

PATTERNS = ["*.json", "*.safetensors", "*.bin", "*.pth"]
"""The files of a checkpoint; the hub's repositories contain pictures and demos too."""
NEEDED = "config.json, tokenizer.json, model.safetensors (or pytorch_model.bin) and audiovae.pth"


def find(model: str) -> Path:
    """Return the folder of a checkpoint, with all its files: the one named, or in the hub's cache.

    Downloads nothing.  Raises HubError, which says how to get the files.
    """
    if (folder := Path(model).expanduser()).is_dir():
        if faults := files.faults(folder):
            raise HubError(
                f"VOXCPM_MODEL = {model!r}: {'; '.join(faults)}. A checkpoint has {NEEDED}; if its "
                "download was cut off, fetch the rest."
            )
        return folder
    if _looks_like_path(model):
        raise HubError(f"VOXCPM_MODEL = {model!r}: there is no such folder.")
    try:
        folder = _snapshot(model, offline=True)
    except (OSError, ValueError) as error:  # LocalEntryNotFoundError is an OSError
        raise HubError(
            f"VOXCPM_MODEL = {model!r}: its files are not on this machine. Fetch them with "
            f"`voxcpm-openai pull {model}`, or put {NEEDED} into a folder and name the folder "
            "in VOXCPM_MODEL."
        ) from error
    if faults := files.faults(folder):
        raise HubError(
            f"VOXCPM_MODEL = {model!r}: its download is not complete: {'; '.join(faults)}. "
            f"`voxcpm-openai pull {model}` resumes it."
        )
    return folder


def pull(model: str, mirror: str | None = None) -> Path:
    """Download a checkpoint from the hub, with progress bars, and return its folder.

    ``mirror``: the URL of another hub, by default ``HF_ENDPOINT``.  Resumes an interrupted
    download, and verifies the checksums of all files, including those that were cached.
    Raises HubError, which names a folder to fill by hand.
    """
    if Path(model).expanduser().is_dir() or _looks_like_path(model):
        raise HubError(f"{model!r} is a folder, not the id of a checkpoint on the hub.")
    try:
        folder = _snapshot(model, offline=False, mirror=mirror)
    except (OSError, ValueError) as error:
        by_hand = Path.home() / "voxcpm" / model.rpartition("/")[2]
        raise HubError(
            f"{model!r} cannot be fetched: {error}. What has arrived is kept: the same command "
            "resumes. If the hub cannot be reached, name a mirror (--mirror URL, or HF_ENDPOINT), "
            "copy the cache of a machine that has pulled it, or put "
            f"{NEEDED} into a folder by hand, such as {by_hand}, and start with "
            f"VOXCPM_MODEL={by_hand}."
        ) from error
    if damaged := [path.name for path in sorted(folder.rglob("*")) if not checksums.verify(path)]:
        raise HubError(
            f"{model!r}: the checksum of {', '.join(damaged)} does not match; removed from the "
            "cache. Pull it again."
        )
    # If the hub cannot be reached, huggingface_hub returns what is in its cache.
    if faults := files.faults(folder):
        raise HubError(f"{model!r} is not complete: {'; '.join(faults)}. Pull it again.")
    return folder


def _snapshot(model: str, *, offline: bool, mirror: str | None = None) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(model, allow_patterns=PATTERNS, local_files_only=offline, endpoint=mirror)
    )


def _looks_like_path(model: str) -> bool:
    return model.startswith((".", "/", "~")) or model.count("/") != 1
