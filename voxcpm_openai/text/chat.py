"""What chat programs put into a text: mentions, custom emoji, spoilers."""

from __future__ import annotations

import re

from voxcpm_openai.text.characters import GAP

# Slack's <https://x.com|label>.
_LABELLED = re.compile(r"<(?:https?://|mailto:)[^\s<>|]+\|([^<>|\n]{1,300})>", re.IGNORECASE)
# <@123>, <@&123>, <#C02|general>, <:smile:123>, <t:123:R>, <!here>, </command:123>.
_MENTION = re.compile(
    r"<(?:@[!&]?[A-Z0-9]{1,24}|#[A-Z0-9]{1,24}|a?:\w{1,32}:\d{1,24}|t:-?\d{1,16}(?::[A-Za-z])?"
    r"|!(?:here|channel|everyone|subteam\^\w{1,24}|date\^[^<>|\n]{1,200})|/[\w -]{1,64}:\d{1,24})"
    r"(?:\|([^<>|\n]{0,300}))?>"
)
_EMOTE = re.compile(r"(?<!\S)(?::(?:[a-z][a-z0-9_+-]{1,39}|[+-]1):)++(?=[\s.,!?)]|$)")
# Fields of reStructuredText, such as ":return: the path", at the start of a line.
_FIELD = re.compile(
    ":(?:params?|args?|returns?|rtype|type|raises?|alt|target|align|width|height|scale|class|name"
    "|author|copyright|license|version|date|caption|note|warning|default|[a-z]+-[a-z-]+):"
)
_SPOILER = re.compile(r"\|\|(?=[^\s|])([^|\n]{1,1000}+)(?<=\S)\|\|")


def show_labels(text: str) -> str:
    """Return the text with Slack's labelled links as their labels."""
    return _LABELLED.sub(r"\1", text)


def remove_mentions(text: str) -> str:
    """Return the text without mentions, emotes and spoiler marks; names and labels stay."""
    text = _MENTION.sub(lambda m: m[1] or GAP, text)
    return _SPOILER.sub(r"\1", _EMOTE.sub(_emote, text))


def _emote(emote: re.Match[str]) -> str:
    """Return what is read of an emote: nothing, or the match itself if it is a field."""
    begins = not emote.string[max(0, emote.start() - 8) : emote.start()].rpartition("\n")[2].strip()
    return emote[0] if begins and _FIELD.fullmatch(emote[0]) else GAP
