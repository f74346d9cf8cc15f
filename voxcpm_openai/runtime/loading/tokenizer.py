"""Text to token ids, as upstream's wrapper of transformers does it."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from voxcpm_openai.runtime.errors import CheckpointError


class TextTokenizer:
    """Byte-pair encoding, with one token for each Chinese character.

    The vocabulary has words of several Chinese characters, which the model was not trained on: such
    a token is replaced by those of its characters, and the space before it is dropped.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises no narrower type
            raise CheckpointError(f"{path} is not a tokenizer: {error}") from error
        vocabulary: dict[str, int] = self.tokenizer.get_vocab()
        unknown = vocabulary.get("<unk>", 0)
        words = {token for token in vocabulary if len(token) > 1 and _is_chinese(token)}
        self.characters = {
            id_: [vocabulary.get(character, unknown) for character in word]
            for token, id_ in vocabulary.items()
            if (word := token.replace("▁", "")) in words
        }

    def __call__(self, text: str) -> list[int]:
        """Return the ids of ``text``, without special tokens around them."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return [split for id_ in ids for split in self.characters.get(id_, (id_,))]


def _is_chinese(text: str) -> bool:
    """Return whether all characters are in the block of CJK unified ideographs."""
    return all("\u4e00" <= character <= "\u9fff" for character in text)
