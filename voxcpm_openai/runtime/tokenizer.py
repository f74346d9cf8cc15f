"""Text to token ids, as upstream's wrapper around transformers has it."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from voxcpm_openai.runtime.checkpoint import CheckpointError


class TextTokenizer:
    """Byte-pair tokens, but each Chinese character by itself.

    The vocabulary has words of several Chinese characters, which the model was not taught to speak:
    such a token is replaced by those of its characters, and the space before it is dropped.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.tokenizer = Tokenizer.from_file(str(path))
        except Exception as fault:  # tokenizers raises no narrower kind
            raise CheckpointError(f"{path} is not a tokenizer: {fault}") from fault
        vocabulary: dict[str, int] = self.tokenizer.get_vocab()
        unknown = vocabulary.get("<unk>", 0)
        words = {token for token in vocabulary if len(token) > 1 and _is_chinese(token)}
        self.characters = {
            number: [vocabulary.get(character, unknown) for character in word]
            for token, number in vocabulary.items()
            if (word := token.replace("▁", "")) in words
        }

    def __call__(self, text: str) -> list[int]:
        """Return the ids of ``text``; no id is put before or after them."""
        numbers: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return [one for number in numbers for one in self.characters.get(number, (number,))]


def _is_chinese(text: str) -> bool:
    """Say whether all characters are in the block of CJK unified ideographs."""
    return all("\u4e00" <= character <= "\u9fff" for character in text)
