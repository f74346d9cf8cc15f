"""Titles and streets, which share abbreviations: "Dr. Smith", "Elm Dr.", "St. Mary", "Main St."."""

from __future__ import annotations

import re

from voxcpm_openai.english.rule import RuleGroup, alternatives, rule, text_after

_TITLES = {
    "Dr": "Doctor", "Drs": "Doctors", "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Mx": "Mix",
    "Messrs": "Messieurs", "Mme": "Madame", "Mlle": "Mademoiselle", "Prof": "Professor",
    "Rev": "Reverend", "Hon": "Honorable", "Gen": "General", "Col": "Colonel", "Capt": "Captain",
    "Cpt": "Captain", "Cmdr": "Commander", "Lt": "Lieutenant", "Sgt": "Sergeant",
    "Cpl": "Corporal", "Pvt": "Private", "Maj": "Major", "Adm": "Admiral", "Gov": "Governor",
    "Sen": "Senator", "Sens": "Senators", "Rep": "Representative", "Reps": "Representatives",
    "Pres": "President", "Supt": "Superintendent", "Insp": "Inspector", "Det": "Detective",
    "Amb": "Ambassador", "Mt": "Mount", "Ft": "Fort", "St": "Saint", "Sts": "Saints",
    "Fr": "Father", "Br": "Brother",
}  # fmt: skip
_WITHOUT_DOT = ("Dr", "Mr", "Mrs", "Ms", "Mx", "Prof", "Mt", "St", "Sgt", "Lt", "Capt")
_STREETS = {
    "St": "Street",
    "Ave": "Avenue",
    "Av": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Ln": "Lane",
    "Dr": "Drive",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Sq": "Square",
    "Ct": "Court",
    "Pl": "Place",
    "Ter": "Terrace",
    "Cir": "Circle",
}
_SUFFIXES = {  # these may end a sentence
    "Inc.": "Incorporated",
    "Ltd.": "Limited",
    "Ltd": "Limited",
    "Corp.": "Corporation",
    "Jr.": "Junior",
    "Jr": "Junior",
    "Sr.": "Senior",
    "Sr": "Senior",
    "Esq.": "Esquire",
    "etc.": "et cetera",
    "etc": "et cetera",
}
STARTERS = (
    "The|This|That|These|Those|There|Then|They|He|She|It|We|You|I|My|Our|His|Her|Its|Your|Their|But"
    "|And|So|If|When|What|Why|How|Who|Where|While|However|Although|After|Before|Since|Because|In|On"
    "|At|As|For|From|With|Now|Yes|No|Not|One|Some|Many|Most|All|Is|Are|Was|Were|Do|Does|Did|Can"
    "|Could|Will|Would|Should|A|An|Take|Turn|Let|Look|Please|Call|Mr|Mrs|Dr"
)
"""Words that begin a sentence, where a name could follow as well."""

_TITLE, _STREET = alternatives(_TITLES), alternatives(_STREETS)
SHORT_TITLES = {*_TITLES, *_STREETS, "Co", "Bros", *(word.rstrip(".") for word in _SUFFIXES)}
"""What a text with a title, a street or a company has."""
_DIRECTIONS = {"N": "North", "S": "South", "E": "East", "W": "West"}
_DIRECTIONS |= {"NE": "Northeast", "NW": "Northwest", "SE": "Southeast", "SW": "Southwest"}


def _street(match: re.Match[str]) -> str:
    word = match[1]
    if word in _TITLES or re.fullmatch(STARTERS, word):
        return match[0]
    # The dot stays where the sentence ends.
    end = "." if match[3] and re.match(r"$| [A-Z]", text_after(match)) else ""
    return f"{word} {_STREETS[match[2]]}{end}"


def _direction(match: re.Match[str]) -> str:
    return f"{match[1]}{_DIRECTIONS[match[2]]}"


def _suffix(match: re.Match[str]) -> str:
    following = text_after(match)
    ends = match[1].endswith(".") and re.match(rf"[\"”’)]*(?:$| (?:{STARTERS})\b)", following)
    return _SUFFIXES[match[1]] + ("." if ends else "")


TITLES = RuleGroup(
    re.compile(
        rf"\b(?:MRS?|DR|ST)\b|\b(?:{_TITLE}|{_STREET}|Inc|Corp|Esq|Co|Bros)\.|\b(?:etc|Jr|Sr|Ltd)\b"
        rf"|\b(?:{alternatives(_WITHOUT_DOT)}|{_STREET})\b"
    ),
    (
        rule(
            rf"\b([A-Z][\w'’-]*|\d+(?:st|nd|rd|th)) ({_STREET})\b(\.?)"
            rf"(?=$|[,;:)]| (?![A-Z])| (?:{STARTERS})\b| [NSEW]{{1,2}}\b|\n)",
            _street,
            ("Main St. The house", "Main Street. The house"),
            ("on 5th Ave. in town", "on fifth Avenue in town"),
            ("123 Elm Dr., Apt. 4", "one twenty-three Elm Drive, apartment four"),
            ("We met Dr. Who.", "We met Doctor Who."),
        ),
        rule(
            r"((?:^|\d |\bon |\bat ))([NSEW]{1,2})\.? (?=[A-Z]\w+ (?:Street|Avenue|Road|Drive"
            r"|Boulevard)\b)",
            lambda m: _direction(m) + " " if m[2] in _DIRECTIONS else m[0],
            ("on N. Main St.", "on North Main Street."),
        ),
        rule(
            r"\b(Blvd|Hwy|Pkwy|Ave)\b\.?(?! Maria)",
            lambda m: _STREETS[m[1]],
            ("the Blvd. of dreams", "the Boulevard of dreams"),
        ),
        rule(
            rf"\b({_TITLE})\. ?(?=[A-Z])|\b(?<!\u00a0)({alternatives(_WITHOUT_DOT)}) "
            rf"(?=[A-Z][a-z])",
            lambda m: _TITLES[m[1] or m[2]] + " ",
            ("Dr. Smith", "Doctor Smith"),
            ("Mr. and Mrs. Lee", "Mister and Missus Lee"),
            ("St. Mary's", "Saint Mary's"),
            ("Gen. Lee, but Gen Z", "General Lee, but Gen Z"),
            ("Lt. Col. Rice", "Lieutenant Colonel Rice"),
        ),
        rule(
            r"\b(MR|MRS|DR|ST)\.? (?=[A-Z]{2})",
            lambda m: _TITLES[m[1].capitalize()].upper() + " ",
            ("MR. SMITH GOES HOME", "mister smith goes home"),
        ),
        rule(
            r"\b(?<!\u00a0)(Mr|Mrs|Ms|Dr|Messrs)\.?(?= (?:and|&|or) )",
            lambda m: _TITLES[m[1]],
            ("Dr. and Mrs. Lee", "Doctor and Missus Lee"),
        ),
        rule(
            rf"(?<=\S )({alternatives(_SUFFIXES)})(?!\w)",
            _suffix,
            ("pens, etc.", "pens, et cetera."),
            ("pens, etc. in a box", "pens, et cetera in a box"),
            ("Apple Inc. said", "Apple Incorporated said"),
            ("King Jr. spoke", "King Junior spoke"),
        ),
        rule(
            r"(?<=[a-z&] )Co\.(?= (?!The|He|She|It)[a-zA-Z]|,|$)",
            lambda m: "Company" if m.end() < len(m.string) else "Company.",
            ("Smith & Co. in town", "Smith and Company in town"),
        ),
        rule(r"(?<=[a-z] )Bros\.", "Brothers", ("Warner Bros. made it", "Warner Brothers made it")),
    ),
)
