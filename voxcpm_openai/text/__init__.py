"""Text preparation: markup to plain text, scripts, segments."""

from voxcpm_openai.text.clean import clean
from voxcpm_openai.text.latin import to_latin
from voxcpm_openai.text.script import foreign_letters, is_foreign, speakable
from voxcpm_openai.text.split import lead, split

__all__ = ["clean", "foreign_letters", "is_foreign", "lead", "speakable", "split", "to_latin"]
