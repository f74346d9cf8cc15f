"""Abbreviations of words, each only where it is one: "No. 5" but "He said no."."""

from __future__ import annotations

import re

from voxcpm_openai.english.rule import RuleGroup, alternatives, rule, text_after, text_before

_BEFORE_NUMBERS = {
    "no": "number", "nos": "numbers", "nr": "number", "fig": "figure", "figs": "figures",
    "ch": "chapter", "chap": "chapter", "chs": "chapters", "sec": "section", "secs": "sections",
    "sect": "section", "vol": "volume", "vols": "volumes", "p": "page", "pp": "pages",
    "pg": "page", "pgs": "pages", "pt": "part", "pts": "parts", "eq": "equation",
    "eqs": "equations", "ex": "example", "art": "article", "arts": "articles", "tab": "table",
    "par": "paragraph", "para": "paragraph", "ver": "version", "ext": "extension",
    "tel": "telephone", "ph": "phone", "apt": "apartment", "ste": "suite", "rm": "room",
    "rte": "route",
    "bldg": "building", "op": "opus", "max": "maximum", "min": "minimum",
    "approx": "approximately", "appx": "approximately", "avg": "average", "ca": "circa",
    "c": "circa", "est": "established", "ref": "reference", "app": "appendix", "ed": "edition",
}  # fmt: skip
_BEFORE_LETTERS = "Bldg|Apt|Ste|Rm|Figs?|Eq|App|Ex|Sec|Vol|Pt|Tab"
_WITHOUT_DOT = "No|Nos|Fig|Figs|Vol|Ch|ext|Ext|Tel|Apt|pp"
_ANYWHERE = {
    "e.g.": "for example", "e.g": "for example", "eg.": "for example", "E.g.": "For example",
    "i.e.": "that is", "i.e": "that is", "ie.": "that is", "I.e.": "That is",
    "vs.": "versus", "vs": "versus", "viz.": "namely", "cf.": "compare",
    "approx.": "approximately", "Approx.": "Approximately", "et al.": "et al",
    "a.k.a.": "also known as", "w.r.t.": "with respect to", "incl.": "including",
    "excl.": "excluding", "dept.": "department", "Dept.": "Department", "govt.": "government",
    "Govt.": "Government", "Univ.": "University", "Assn.": "Association",
    "Assoc.": "Association", "intl.": "international", "Intl.": "International",
    "Int'l": "International", "int'l": "international", "Nat'l": "National", "Natl.": "National",
    "Gov't": "Government", "gov't": "government", "misc.": "miscellaneous", "esp.": "especially",
    "resp.": "respectively", "avg.": "average", "Avg.": "Average", "Attn:": "Attention:",
    "attn.": "attention", "Attn.": "Attention", "TL;DR": "T\u00a0L\u00a0D\u00a0R",
    "w/o": "without", "b/w": "between",
    "c/o": "care of", "n/a": "N\u00a0A", "N/A": "N\u00a0A",
    "Sec. of": "Secretary of", "Ctrl": "Control", "w/": "with", "b/c": "because",
    "Ph.D.": "P\u00a0H\u00a0D", "Ph.D": "P\u00a0H\u00a0D", "PhD": "P\u00a0H\u00a0D",
    "PhDs": "P\u00a0H\u00a0Ds", "MSc": "M\u00a0S\u00a0C", "BSc": "B\u00a0S\u00a0C",
    "B.Sc.": "B\u00a0S\u00a0C", "M.Sc.": "M\u00a0S\u00a0C",
    "Wm.": "William", "asst.": "assistant", "Asst.": "Assistant", "mgr.": "manager",
    "Mgr.": "Manager",
    "Mk.": "Mark", "Mfg.": "Manufacturing", "mgmt.": "management", "Mgmt.": "Management",
    "hosp.": "hospital", "Hosp.": "Hospital", "Inst.": "Institute",
}  # fmt: skip
# These lose their dot before a lower-case word only: at the end of a sentence they are words.
_INSIDE = {
    "temp": "temperature",
    "pop": "population",
    "max": "maximum",
    "min": "minimum",
    "est": "estimated",
    "ext": "extension",
    "vol": "volume",
    "hr": "hour",
    "ed": "edition",
    "qty": "quantity",
    "pkg": "package",
    "orig": "original",
    "prev": "previous",
}
SHORT_FORMS = {word[:-1] for word in _ANYWHERE if word[:-1].isalpha()} | {"vs", "PhD", "PhDs"}
SHORT_FORMS |= {"MSc", "BSc", "Ctrl", "ext", "Ext", *_BEFORE_LETTERS.replace("?", "").split("|")}
"""What a text with an abbreviation of these has."""
_SENTENCE = re.compile(
    r"\d[\d,]* (?:people|men|women|children|of|more|(?!is\b|was\b|has\b)[a-z]+s)\b"
)
_SPEECH = re.compile(
    r"\b(?:said|say|says|answer(?:ed)?(?: is| was)?|replied|told \w+|or) [\"“‘']?$"
)


def _before_number(match: re.Match[str]) -> str:
    """Return "number " for "No. " in "No. 5", but not in "He said no. 5 people left."."""
    short = next(filter(None, match.groups())).lower()
    before, after = text_before(match), text_after(match)
    is_word = _SPEECH.search(before) or (match[1] and _SENTENCE.match(after))
    if short == "no" and not match[0][0].isupper() and is_word:
        return match[0]
    if short == "no" and match[2] and re.match(r"\d+ [a-z]+s\b", after) and not match.start():
        return match[0]
    words = _BEFORE_NUMBERS[short]
    first = match[0][0].isupper() and not match.start()
    return (words.capitalize() if first else words) + " "


def _inside(match: re.Match[str]) -> str:
    words = _INSIDE[match[1].lower()]
    return words.capitalize() if match[1][0].isupper() else words


def _anywhere(match: re.Match[str]) -> str:
    """Return the words; the dot that also ends a sentence stays."""
    ends = match[1].endswith(".") and match.end() == len(match.string) and match.start() > 0
    return _ANYWHERE[match[1]] + ("." if ends else "")


ABBREVIATIONS = RuleGroup(
    re.compile(
        rf"[a-z]\.|\bc\.|[a-z]/|[bcwN]/|TL;|\b(?:vs|PhDs?|Ctrl|[BM]Sc|{_WITHOUT_DOT})\b|[vV]\.? ?\d"
        rf"|['’]l\b|['’]t\b|:"
    ),
    (
        rule(
            r"\bAssoc\. (?=Prof|Dir|Dean|Ed|Justice)",
            "Associate ",
            ("Assoc. Prof. Lee", "Associate Professor Lee"),
        ),
        rule(r"^Sr\. (?=[A-Z])", "Senior ", ("Sr. Engineer", "Senior Engineer")),
        rule(
            rf"(?<![\w.'-])((?i:{alternatives(_BEFORE_NUMBERS)}))\.:? ?(?=[-#(]?\d|[IVXL]+\b)"
            rf"|\b({_WITHOUT_DOT}):? (?=\d)|\b({_BEFORE_LETTERS})\. (?=[A-Z]\d*[A-Z]?\b(?![.'’]))",
            _before_number,
            ("page No. 5", "page number five"),
            ("No 2 pencils are alike", "No two pencils are alike"),
            ("Fig. 3", "Figure three"),
            ("pp. 5–7", "pages five to seven"),
            ("He said no. 5 people left.", "He said no. five people left."),
            ("c. 1850", "circa eighteen fifty"),
            ("max. 5", "maximum five"),
            ("Tel: 555-0199", "Telephone five five five, zero one nine nine"),
        ),
        rule(
            r"(?<![\w.])(?:[vV]\.? ?(?=\d+\.\d)|v\.? ?(?=\d+\b(?! ?[-–])))",
            "version ",
            ("v2.0 or v3", "version two point zero or version three"),
            ("a V8", "a V eight"),
        ),
        rule(
            rf"(?<![\w.])({alternatives(_ANYWHERE)})(?![\w.])",
            _anywhere,
            ("e.g. this, i.e. that", "for example this, that is that"),
            ("us vs. them", "us versus them"),
            ("She has a Ph.D. in art.", "She has a P\u00a0H\u00a0D in art."),
            ("coffee w/o milk", "coffee without milk"),
        ),
        rule(
            rf"(?<![\w.'’-])(?<!\d )((?i:{alternatives(_INSIDE)}))\.(?= [a-z\d]|,)",
            _inside,
            ("the max. load", "the maximum load"),
            ("It is the max. Do it.", "It is the max. Do it."),
        ),
        rule(
            r"(?<=[A-Za-z.)] )v\.(?= [A-Z])",
            "versus",
            ("Roe v. Wade", "Roe versus Wade"),
        ),
        rule(r"\bCat\. (?=\d)", "Category ", ("a Cat. 4 storm", "a Category four storm")),
        rule(r"\bPt\. (?=[A-Z][a-z]{2})", "Point ", ("at Pt. Reyes", "at Point Reyes")),
    ),
)
