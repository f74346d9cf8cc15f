"""Addresses, file names, handles and names from code: read part by part, with their signs."""

from __future__ import annotations

import re

from voxcpm_openai.english.capitals import is_pronounceable, spelled
from voxcpm_openai.english.numbers import digits, label
from voxcpm_openai.english.rule import RuleGroup, rule

_SIGNS = {
    ".": "dot",
    "/": "slash",
    "\\": "backslash",
    "-": "dash",
    "_": "underscore",
    "@": "at",
    ":": "colon",
    "+": "plus",
    "~": "tilde",
    "#": "hash",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "%": "percent",
}
_WORDS = frozenset(
    "app art bak bat bin biz blog build cfg cloud co com conf config csproj data dev doc docker dot"
    " edu env fit fun get gif gif go gov home index info ini ink jar json lib license link live"
    " local lock log main make map me mil mod my name net new news no of old on one online org our"
    " page pip pro raw readme run set setup shop site src store tar tech temp test the tmp to toml"
    " user var war we web wiki world yaml your zip".split()
)
"""Parts of addresses that are read as words, though they look like abbreviations."""
_TLDS = (
    "com|org|net|edu|gov|mil|int|info|biz|io|ai|co|uk|de|fr|it|es|nl|eu|us|ca|au|jp|cn|in|ru|ch|at"
    "|se|no|dk|fi|pl|br|mx|nz|ie|be|tv|me|app|dev|xyz|online|site|shop|tech|cloud|blog|ly|gg|fm|so"
    "|to|sh|news|live|wiki|pro|name|page|store|org|example|local|onion|gl|is|cc|id|kr|za|tw|hk|sg"
)
_EXTENSIONS = (
    "toml|json|ya?ml|txt|pdf|docx?|xlsx?|pptx?|csv|tsv|md|py|pyi|ipynb|js|jsx|ts|tsx|html?|css|scss"
    "|xml|svg|png|jpe?g|gif|webp|bmp|ico|tiff?|mp[34]|wav|flac|ogg|opus|m4a|mkv|avi|mov|webm"
    "|zip|tar"
    "|gz|bz2|xz|rar|7z|exe|dll|so|sh|bat|ps1|c|h|cc|cpp|hpp|rs|go|java|kt|rb|php|pl|lua|sql|db|log"
    "|ini|cfg|conf|env|lock|yml|bin|iso|img|apk|dmg|deb|rpm|jar|war|whl|onnx|gguf|pt|ckpt|tex|bib"
    "|epub|rtf|odt|bak|tmp|swift|vue|service|proto|plist"
)
_SPOKEN = {"jpeg": "jay peg", "json": "jason", "gmail": "G mail"}
_LOCAL = r"[A-Za-z0-9](?:[\w.+%-]*[\w+-])?"


def part(text: str) -> str:
    """Return a part of an address: a word, letters, or a number."""
    if text.isdecimal():
        return digits(text) if len(text) > 4 or text[0] == "0" else label(text)
    if text.lower() in _WORDS or (len(text) > 3 and is_pronounceable(text)):
        return camel(text)
    if len(text) <= 3 and not (len(text) == 3 and is_pronounceable(text)):
        return spelled(text)
    return camel(text) if is_pronounceable(text) else spelled(text)


def camel(text: str) -> str:
    """Return "main file" for "mainFile"; capitals in a row are letters."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)


def address(text: str) -> str:
    """Return an address or a file name, with its signs: "a.co/b" is "A dot co slash B"."""
    words: list[str] = []
    for piece in re.findall(r"[A-Za-z]+|[0-9]+|[^A-Za-z0-9]", text):
        if piece[0].isalnum():
            words.append(_SPOKEN.get(piece.lower()) or part(piece))
        else:
            words.append(_SIGNS.get(piece, ""))
    return " ".join(filter(None, words))


def _host(match: re.Match[str]) -> str:
    text = re.sub(r"^(?:\w+://)?(?:www\.)?", "", match[0])
    kept = text.rstrip(".,;:!?/")
    return address(kept) + text[len(kept) :].replace("/", "")


def _ending(text: str) -> str:
    """Return what follows a leading dot: ".txt" is spelled, ".NET" and ".bashrc" are not."""
    if text.lower() in _WORDS:
        return text.lower()
    return address(text) if re.fullmatch(_EXTENSIONS, text) else text


def _file(match: re.Match[str]) -> str:
    """Return a file name in words, unless it is a number or initials."""
    return match[0] if re.fullmatch(r"[\d.]+|[A-Z]\.[a-z]", match[0]) else address(match[0])


ADDRESSES = RuleGroup(
    re.compile(r"\w\.\w|[@/\\_]|--\w|(?<!\w)\.[A-Za-z]|#[A-Za-z]|\w:\d"),
    (
        rule(
            rf"(?<![\w.@]){_LOCAL}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
            lambda m: address(m[0]),
            ("jane.doe@example.co.uk", "jane dot doe at example dot co dot U\u00a0K"),
        ),
        rule(
            rf"(?<![\w@/.-])(?:https?://)?(?:www\.)?(?:[A-Za-z0-9-]+\.)+(?:{_TLDS})(?![\w-]"
            rf"|\.[a-z])"
            r"(?::\d+)?(?:/[\w./~%#?=&+-]*)?"
            r"|(?:https?|ftp|ssh|wss?)://[\w.-]+(?::\d+)?(?:/[\w./~%#?=&+-]*)?",
            _host,
            ("Visit example.com, then", "Visit example dot com, then"),
            ("github.com/openai", "github dot com slash openai"),
            ("It is on bbc.co.uk.", "It is on B\u00a0B\u00a0C dot co dot U\u00a0K."),
        ),
        rule(
            r"\b(localhost|\d{1,3}(?:\.\d{1,3}){3}):(\d{2,5})\b(/[\w./-]*)?",
            lambda m: f"{m[1]} colon {label(m[2])}" + (f" {address(m[3])}" if m[3] else ""),
            ("localhost:8080", "localhost colon eighty eighty"),
        ),
        rule(
            r"(?<![\w@.-])(?:~?/|\.{1,2}/)?(?:[\w.-]+/)*\.?[\w-]+(?:\.[\w-]+)*"
            rf"\.(?:{_EXTENSIONS})(?![\w-]|\.\w)",
            _file,
            ("about config.toml.", "about config dot toml."),
            ("run main.py now", "run main dot P\u00a0Y now"),
        ),
        rule(
            r"(?<![\w/.%)\]>])(?:[A-Za-z]:\\|~?/|\.{1,2}/)[\w.-]+(?:[/\\][\w.-]+)*[/\\]?(?<!\.)",
            lambda m: address(m[0]),
            ("in /usr/bin.", "in slash usr slash bin."),
            ("~/.bashrc", "tilde slash dot bashrc"),
        ),
        rule(
            r"(?:^|(?<=[\s()\"“]))\.([A-Za-z]{2,})",
            lambda m: f"dot {_ending(m[1])}",
            ("in .NET", "in dot net"),
        ),
        rule(
            r"(?<![\w&])#(?=\w*\d)(?=\w*[A-Fa-f])([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})\b",
            lambda m: "hash " + " ".join(map(part, m[1].upper())),
            ("#FF57A3", "hash F F five seven A three"),
        ),
        rule(
            r"(?<=[a-z0-9_]{2})\.(?=[a-z_]{2})",
            " dot ",
            ("call np.array here", "call np dot array here"),
        ),
        rule(
            r"(?<=[a-z]{2})\.(?=[A-Z][a-z])",
            ". ",
            ("He left.She stayed.", "He left. She stayed."),
        ),
        rule(
            r"(?<![\w&])#([A-Za-z]{2}\w*)",
            lambda m: f"hashtag {camel(m[1])}",
            ("#MeToo", "hashtag Me Too"),
        ),
        rule(r"(?<![\w.])@(?=\w)", "at ", ("ask @jane", "ask at jane")),
        rule(r"(?<![\w-])--(?=[a-z])", "dash dash ", ("use --help", "use dash dash help")),
        rule(r"(?<=\w)_+(?=\w)", " ", ("snake_case", "snake case")),
        rule(r"\b(and)/(or)\b", r"\1 \2", ("and/or", "and or")),
        rule(
            r"\b([Ss]?[Hh]e|[Hh]is|[Hh]im|yes)/(she|he|hers?|his|him|they|no)\b",
            r"\1 or \2",
            ("he/she", "he or she"),
        ),
    ),
)
