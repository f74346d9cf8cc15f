"""HTML: tags are removed or become breaks, entities are decoded."""

from __future__ import annotations

import re
from html import unescape

from voxcpm_openai.text.characters import hide, plain
from voxcpm_openai.text.ssml import TAG

# Elements whose content is not read aloud; comments and the reasoning of language models.
_SILENT = re.compile(r"<!--|<(script|style|svg|think|thinking|rp|rt|rtc)\b[^<>]*>", re.IGNORECASE)
# The readings of characters (<ruby>) may end without a closing tag.
_RUBY = frozenset(("rp", "rt", "rtc"))
_RUBY_END = r"|(?=<(?:rp|rt|rtc|rb|/ruby)\b)"
_PROLOGUE = re.compile(r"<(?:\?xml|!DOCTYPE)\b[^<>]*>", re.IGNORECASE)
_RAISED = re.compile(
    r"<sup\b[^<>]*>\s{0,9}([+−–-]?\d{1,4}|\d{1,2}[+−–-])\s{0,9}</sup\s*>", re.IGNORECASE
)
_RAISE = str.maketrans("0123456789+-−–", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻")
_CLOSED = re.compile(r"</([A-Za-z][\w:-]{0,30}+)\s*>")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

# Tags within a word, tags that break a line or a paragraph, and table cells, which become
# Markdown cells.  Any other tag becomes a space.
_INNER = re.compile(
    "a|abbr|b|big|cite|code|del|em|font|i|ins|kbd|mark|q|s|small|span|strike|strong|sub|sup|tt|u"
    "|var|wbr|ruby|rb|emphasis|prosody|say-as|phoneme"
)
_LINE = re.compile("br|dd|details|div|dl|dt|footer|header|li|ol|section|summary|tr|ul")
_PARAGRAPH = re.compile("article|aside|blockquote|body|h[1-6]|hr|p|pre|table")
_CELL = re.compile("td|th")
_OTHER = re.compile(
    "audio|break|button|caption|center|figure|head|html|iframe|img|input|label|main|nav|speak"
    "|tbody|thead|title|video|voice"
)
_REPLACEMENTS = ((_INNER, ""), (_LINE, "\n"), (_PARAGRAPH, "\n\n"), (_CELL, "|"), (_OTHER, " "))


# SSML's sentences are alone in their paragraph; HTML's <s>, which strikes words out, is not.
_SENTENCES = re.compile(
    r"<speak\b|</s\s*>\s*(?:<s[\s>]|</p\s*>)|<p(?:\s[^<>]*)?>\s*<s[\s>]|^\s*<s[\s>].*</s\s*>\s*$",
    re.IGNORECASE | re.DOTALL,
)
_SENTENCE_BEGIN = re.compile(r"<s(?:\s[^<>]*)?>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"</s\s*>\s*", re.IGNORECASE)


def remove_tags(text: str) -> str:
    """Return the text without tags; ``a < b`` and ``vector<int>`` stay.

    SSML's ``<s>`` becomes a line.  Numbers in ``<sup>`` become superscripts.
    """
    text = _RAISED.sub(lambda m: m[1].translate(_RAISE), text)
    if "</s" in text.lower() and _SENTENCES.search(text):
        text = _SENTENCE_END.sub("\n", _SENTENCE_BEGIN.sub(" ", text))
    closed = {name.lower() for name in _CLOSED.findall(text)}

    def replace(tag: re.Match[str]) -> str:
        name, attributes = tag[2].lower(), tag[3] or ""
        for names, replacement in _REPLACEMENTS:
            if names.fullmatch(name):
                return " " if tag[1] and name in ("li", "tr") else replacement
        is_tag = name in closed or "=" in attributes or attributes.endswith("/")
        return " " if is_tag else tag[0]

    return TAG.sub(replace, text)


def decode_entities(text: str) -> str:
    """Return the text with decoded entities, which never count as markup."""
    return _ENTITY.sub(lambda m: hide(plain(unescape(m[0]))), text)


def remove_silent(text: str) -> str:
    """Return the text without comments and the elements that are not read aloud."""
    text = _PROLOGUE.sub(" ", text)
    kept, done, unclosed = [], 0, set()
    at = 0
    while opening := _SILENT.search(text, at):
        at = opening.end()
        name = (opening[1] or "").lower()
        if name in unclosed:
            continue
        end = (rf"</{name}\s*>" if name else "-->") + (_RUBY_END if name in _RUBY else "")
        closing = re.compile(end, re.IGNORECASE).search(text, at)
        if closing is None:
            unclosed.add(name)  # later ones are not closed either; skipping them keeps this linear
            continue
        kept += [text[done : opening.start()], "" if name in _RUBY else " "]
        done = at = closing.end()
    return "".join(kept) + text[done:]
