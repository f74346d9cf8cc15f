"""Text preparation: markup to plain text, script check, segments."""

from voxcpm_openai.text.clean import clean
from voxcpm_openai.text.script import foreign_letters, speakable
from voxcpm_openai.text.split import lead, split

__all__ = ["clean", "foreign_letters", "lead", "speakable", "split"]
