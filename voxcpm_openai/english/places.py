"""States and directions: "Portland, OR", "(D-Minn.)", "I-95 N", "E. 14th St.", "Ave. NW"."""

from __future__ import annotations

import re

from voxcpm_openai.english.numbers import cardinal, digits
from voxcpm_openai.english.rule import RuleGroup, alternatives, rule, text_after, text_before

_CODES = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California",
    "CO": "Colorado", "CT": "Connecticut", "DE": "Delaware", "FL": "Florida", "GA": "Georgia",
    "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa",
    "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana", "ME": "Maine", "MD": "Maryland",
    "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota", "MS": "Mississippi",
    "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire",
    "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina",
    "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania",
    "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee",
    "TX": "Texas", "UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington",
    "WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming",
}  # fmt: skip
_SHORT = {
    "Ala": "Alabama", "Ariz": "Arizona", "Ark": "Arkansas", "Calif": "California",
    "Cal": "California", "Colo": "Colorado", "Conn": "Connecticut", "Del": "Delaware",
    "Fla": "Florida", "Ga": "Georgia", "Ill": "Illinois", "Ind": "Indiana", "Kan": "Kansas",
    "Ky": "Kentucky", "La": "Louisiana", "Md": "Maryland", "Mass": "Massachusetts",
    "Mich": "Michigan", "Minn": "Minnesota", "Mo": "Missouri", "Mont": "Montana",
    "Neb": "Nebraska", "Nev": "Nevada", "Okla": "Oklahoma", "Ore": "Oregon",
    "Pa": "Pennsylvania", "Tenn": "Tennessee", "Tex": "Texas", "Vt": "Vermont",
    "Va": "Virginia", "Wash": "Washington", "Wis": "Wisconsin", "Wyo": "Wyoming",
    "W.Va": "West Virginia", "W. Va": "West Virginia", "N.Y": "New York", "N.J": "New Jersey",
    "N.C": "North Carolina", "S.C": "South Carolina", "N.H": "New Hampshire",
    "N.M": "New Mexico", "N.D": "North Dakota", "S.D": "South Dakota", "R.I": "Rhode Island",
}  # fmt: skip
SHORT_STATES = {short for short in _SHORT if short.isalpha()}
_CLEAR = "Ariz|Calif|Colo|Conn|Fla|Minn|Okla|Tenn|Wyo"
CLEAR_STATES = set(_CLEAR.split("|"))
"""Those that are nothing else."""
# "Yes, OK", "John Smith, MD" are no places: these need a city that is theirs, or a zip code.
_CITIES = {
    "OK": "Tulsa|Oklahoma City|Norman|Edmond|Lawton|Stillwater|Broken Arrow|Enid|Muskogee",
    "MD": "Baltimore|Bethesda|Annapolis|Rockville|Spring|Frederick|Columbia|Towson|Gaithersburg"
    "|Park|Germantown|Hagerstown|Laurel|Bowie|Salisbury",
}
_CITY = re.compile(
    r"(?:^|[^\w'’-])(?!(?:Yes|No|Well|Hey|Oh|So|And|But|Hi|Ok|Okay|Now|Fine|Sorry|Sure|Right|Please"
    r"|Thanks|Then|Look|Wait|Come|Ah|Aha|Really|Dear|Hello),)[A-Z][a-z'’.-]+(?:[- ][A-Z]?[a-z]+)*,"
    r" $"
)
_DIRECTIONS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_DIRECTIONS |= {"NE": "northeast", "NW": "northwest", "SE": "southeast", "SW": "southwest"}
_BOUND = {"N": "northbound", "S": "southbound", "E": "eastbound", "W": "westbound"}
_STREET = "Street|Avenue|Road|Drive|Boulevard|Lane|Place|Court|Square|Parkway|Highway"
_STREET_SHORT = "St|Ave|Rd|Dr|Blvd|Ln|Pl|Ct|Sq|Pkwy|Hwy"


def _state(match: re.Match[str]) -> str:
    """Return "Oregon" and a zip code, digit by digit, if a place is before it."""
    before, code, zip_code = text_before(match), match[1], match[2]
    if not _CITY.search(before):
        return match[0]
    if code in _CITIES and not zip_code and not re.search(rf"(?:{_CITIES[code]}), $", before):
        return match[0]
    return _CODES[code] + (f" {digits(zip_code)}" if zip_code else "")


def _short(match: re.Match[str]) -> str:
    ends = match[0].endswith(".") and match.end() == len(match.string)
    return _SHORT[match[1] or match[2]] + ("." if ends else "")


def _party(match: re.Match[str]) -> str:
    return f"({match[1]}, {_CODES.get(match[2]) or _SHORT[match[2].rstrip('.')]}"


def _heading(match: re.Match[str]) -> str:
    """Return "I 95 north"."""
    direction = _BOUND[match[3][0]] if match[3].endswith("B") else _DIRECTIONS[match[3]]
    return f"{match[1]} {cardinal(match[2])} {direction}"


def _street_end(match: re.Match[str]) -> str:
    end = "." if match[3] and re.match(r"$| [A-Z]", text_after(match)) else ""
    return f" {match[1]} {_DIRECTIONS[match[2]].capitalize()}{end}"


PLACES = RuleGroup(
    re.compile(
        rf", [A-Z]{{2}}\b|\([DRI]-|\b[NSEW]{{1,2}}\b|\d ?[NSEW]B\b|\b(?:{alternatives(_SHORT)})\."
    ),
    (
        rule(
            rf"(?<=[a-z.], )({alternatives(_CODES)})(?: (\d{{5}}(?:-\d{{4}})?))?"
            r"(?=$|[,;:)\"”’!?.]| (?:in|on|at|is|was|and|for|to|from|with|has|area|by|when)\b)",
            _state,
            ("Portland, OR", "Portland, Oregon"),
            ("Bangor, ME 04401", "Bangor, Maine zero four four zero one"),
            ("New York, NY, and Dallas, TX.", "New York, New York, and Dallas, Texas."),
            ("Yes, OK. Well, HI!", "Yes, O\u00a0K. Well, hi!"),
        ),
        rule(
            rf"\(([DRI])[-–]((?:{alternatives(_SHORT)})\.|{alternatives(_CODES)}\b)",
            _party,
            ("Smith (D-Minn.) and Lee (R-TX)", "Smith, D, Minnesota, and Lee, R, Texas"),
        ),
        rule(
            rf"(?<=[a-z.], )({alternatives(_SHORT)})\.(?!\w)|\b({_CLEAR})\.(?=,| [a-z]|\)|$)",
            _short,
            ("Nashville, Tenn., is big", "Nashville, Tennessee, is big"),
            ("in Tampa, Fla.", "in Tampa, Florida."),
        ),
        rule(
            r"\b(I|US|U\.S\.|Route|Rte\.?|Hwy\.?|Highway|Interstate|SR)[- ](\d{1,3}) ([NSEW]B?)"
            r"\b(?![.'’-]\w)",
            _heading,
            ("Take I-95 N", "Take I ninety-five north"),
            ("on I-80 WB", "on I eighty westbound"),
        ),
        rule(
            r"(?<=\d )((?:mi|km|m|ft|miles|yards|feet|blocks|kilometers|meters)\.? )"
            r"([NSEW]|N[EW]|S[EW])\b(?=$|[,;)]|\.(?!\w)| of\b)",
            lambda m: m[1] + _DIRECTIONS[m[2]],
            ("5 mi N of town", "five miles north of town"),
        ),
        rule(
            rf"\b([NSEW]|N[EW]|S[EW])\.? (?=\d+(?:st|nd|rd|th) (?:{_STREET}|{_STREET_SHORT})\b)",
            lambda m: _DIRECTIONS[m[1]].capitalize() + " ",
            ("at 120 E. 14th St.", "at one hundred twenty East fourteenth Street."),
        ),
        rule(
            rf"(?<=[a-z.]) ((?:{_STREET}|{_STREET_SHORT})\.?) ([NSEW]|N[EW]|S[EW])\b(\.?)"
            r"(?!\w| [A-Z]\w+ St)",
            _street_end,
            ("100 Main Ave. NW", "one hundred Main Avenue Northwest"),
        ),
    ),
)
"""Runs before the titles."""
