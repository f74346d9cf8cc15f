"""HTML and SSML in a text: tags become breaks or nothing, entities the characters they mean."""

from __future__ import annotations

import re
from html import unescape

from voxcpm_openai.text.characters import hide, plain

# Elements whose content nobody reads aloud, comments and a model's thinking among them.
_UNSAID = re.compile(r"<!--|<(script|style|svg|think|thinking)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([A-Za-z][\w:-]{0,30}+)(\s[^<>]*|/)?>")
_CLOSED = re.compile(r"</([A-Za-z][\w:-]{0,30}+)\s*>")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

# Tags within a word, tags that break a line or a paragraph, and table cells, which become
# Markdown's.  Any other tag is a space.
_INNER = re.compile(
    "a|abbr|b|big|cite|code|del|em|font|i|ins|kbd|mark|q|s|small|span|strike|strong|sub|sup|tt|u"
    "|var|wbr|emphasis|prosody|say-as|phoneme"
)
_LINE = re.compile("br|dd|details|div|dl|dt|footer|header|li|ol|section|summary|tr|ul")
_PARAGRAPH = re.compile("article|aside|blockquote|body|h[1-6]|hr|p|pre|table")
_CELL = re.compile("td|th")
_OTHER = re.compile(
    "audio|break|button|caption|center|figure|head|html|iframe|img|input|label|main|nav|speak"
    "|tbody|thead|title|video|voice"
)
_STAND_INS = ((_INNER, ""), (_LINE, "\n"), (_PARAGRAPH, "\n\n"), (_CELL, "|"), (_OTHER, " "))


def without_tags(text: str) -> str:
    """Return the text without comments and tags; ``a < b`` and ``vector<int>`` stay."""
    text = _without_unsaid(text)
    closed = {name.lower() for name in _CLOSED.findall(text)}

    def said(tag: re.Match[str]) -> str:
        name, attributes = tag[2].lower(), tag[3] or ""
        for names, stand_in in _STAND_INS:
            if names.fullmatch(name):
                return " " if tag[1] and name in ("li", "tr") else stand_in
        is_tag = name in closed or "=" in attributes or attributes.endswith("/")
        return " " if is_tag else tag[0]

    return _TAG.sub(said, text)


def without_entities(text: str) -> str:
    """Return the text with entities decoded; what they mean is never taken for markup."""
    return _ENTITY.sub(lambda m: hide(plain(unescape(m[0]))), text)


def _without_unsaid(text: str) -> str:
    """Return the text without the elements that nobody reads aloud."""
    kept, done, unclosed = [], 0, set()
    at = 0
    while opening := _UNSAID.search(text, at):
        at = opening.end()
        name = (opening[1] or "").lower()
        if name in unclosed:
            continue
        closing = re.compile(rf"</{name}\s*>" if name else "-->", re.IGNORECASE).search(text, at)
        if closing is None:
            unclosed.add(name)  # nor will a later one be: each search stays linear
            continue
        kept += [text[done : opening.start()], " "]
        done = at = closing.end()
    return "".join(kept) + text[done:]
