"""Errors of the runtime that more than one of its packages raises or handles.  No torch."""

from __future__ import annotations

from voxcpm_openai.errors import StartError, VoxcpmError


class DeviceError(VoxcpmError):
    """The device is lost or can no longer be trusted: the engine stops for good."""


class WrongAudio(VoxcpmError):
    """A step made numbers that are no audio."""


class CheckpointError(StartError):
    """A file, a field or a tensor of a checkpoint is missing or wrong; the message names it."""


class HubError(StartError):
    """A checkpoint is not on disk or cannot be downloaded; the message says what to do."""
