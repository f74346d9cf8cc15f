"""Units: "5 km", "9.8 m/s²", "kg·m⁻³", "a 12 V battery", "5'10\"", "45°N"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from voxcpm_openai.english.numbers import NUMBER
from voxcpm_openai.english.rule import RuleGroup, alternatives, rule, text_after, text_before
from voxcpm_openai.english.unit_names import NAMES, plural_unit

_AFTER_SLASH = NAMES | {
    word: word for word in "second minute hour day night week month year person capita mile".split()
}
_BEARINGS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_TIMES = ("second", "minute", "hour")  # "per second squared", but "per square meter"
_POWERS = str.maketrans("⁰¹²³⁻⁺", "0123-+")

# A unit of one capital is one only right at its number, or where little else is meant.
_CAPITALS = "AVWLNJKFCT"
_SYMBOL = alternatives(symbol for symbol in NAMES if symbol not in _CAPITALS)
_ANY = alternatives(NAMES)
_RAISED = r"(?:[⁻⁺]?[¹²³]|\^-?[123]\b)"
_SQUARE = r"(?:(?<=m)[23](?![\d.]\d|\w))"
_FACTOR = rf"(?:{_ANY})(?:{_RAISED}|{_SQUARE})?"
_FACTORS = re.compile(rf"(/?)({alternatives(_AFTER_SLASH)})({_RAISED}|{_SQUARE})?")
_REST = (
    rf"(?:[·⋅∙*]{_FACTOR}| (?:{_ANY})⁻[¹²³])*"
    rf"(?:/(?:{alternatives(_AFTER_SLASH)})(?:{_RAISED}|{_SQUARE})?)*"
)
_EXPRESSION = rf"(?:{_SYMBOL}){_RAISED}?{_SQUARE}?{_REST}"
_CAPITAL_EXPRESSION = rf"(?:[VWLNJ]|(?<=\.\d)A)(?:{_RAISED}?{_REST})"
_FRACTIONS = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_AMOUNT = (
    rf"10(?:⁻?[⁰¹²³⁴-⁹]+|\^-?\d+)|\d+/\d+|[{_FRACTIONS}]|\.\d+"
    rf"|{NUMBER}(?: (?:hundred|thousand|million|billion|trillion)|[ -]\d+/\d+| ?[{_FRACTIONS}])?"
)
# What a capital may stand before, if a space is before it: "5 A fuse", but not "top 5 A players".
_CAPITAL_END = (
    r"(?=$|[,;:)]| \(|\.(?!\w)| (?:of|at|and|or|to|per|is|was|in|for|from|fuse|circuit|breaker"
    r"|battery|charger|outlet|supply|current|socket|plug|AC|DC)\b)"
)
_DOT = r"(?:\.(?= [a-z\d(]|[,;:)]))?"
_NO_WORD = r"(?![\w′]|['’]\w|/[A-Za-z]{1,2}\b|[-–][A-Z]|–[a-z])"

_ARTICLE = re.compile(r"\b[Aa]n? (?:\w+[- ]to[- ]|(?:[\d.]+ ?[x×] ?){1,2})?$")
_NOUN = re.compile(
    r" (?!(?:of|in|to|and|or|at|per|for|from|is|was|are|were|with|on|by|than|as|long|wide|high|tall"
    r"|deep|away|off|apart|more|less|each|before|after|ago|later|out|up|down|if|when|a|an|the)\b)"
    r"[a-z]"
)
_SEAT = re.compile(
    r"(?i)\b(?:seats?|gate|room|row|apt|apartment|unit|section|type|class|platform)\.? $"
)
_LABEL = re.compile(
    r"(?i)\b(?:form|building|bldg|level|floor|flight|schedule|model|appendix|rm|lot|zone|hall|pier"
    r"|bus|box|exit|locker|ward|grade|rule|article|chapter|figure|table|question|part) $"
)
_NAMED = re.compile(
    r" (?:dash|race|run|walk|relay|hike|bulb|battery|batteries|laptop|screen|monitor|display|tank"
    r"|engine|motor|charger|adapter|supply|outlet|file|drive|bag|bottle|can|jar|pipe|cable|nails?"
    r"|screws?|boards?|radius|limit|pool|sprint|hurdles|lens|camera|model|connection|steak"
    r"|burger)\b"
)


def _raised(name: str, power: int) -> str:
    if power == 1:
        return name
    if name in _TIMES:
        return f"{name} {'squared' if power == 2 else 'cubed'}"
    return f"{'square' if power == 2 else 'cubic'} {name}"


def _factors(expression: str) -> Iterator[tuple[str, int]]:
    """Yield the factors of a unit and their powers: "m/s²" is ("meter", 1), ("second", -2)."""
    for slash, symbol, raised in _FACTORS.findall(expression):
        power = int(raised.lstrip("^").translate(_POWERS) or "1")
        yield _AFTER_SLASH[symbol], -power if slash else power


def spoken_unit(expression: str, *, plural: bool) -> str:
    """Return the words for a unit: "m·s⁻¹" is "meters per second"."""
    above: list[str] = []
    below: list[str] = []
    for name, power in _factors(expression):
        (above if power > 0 else below).append(_raised(name, abs(power)))
    if above and plural:
        above[-1] = plural_unit(above[-1])
    return " ".join([*above, *(f"per {name}" for name in below)])


def _unit(match: re.Match[str]) -> str:
    """Return a number, as it is, and its unit in words."""
    amount, expression = match[1], match[2] or match[3] or match[4]
    before, after = text_before(match), text_after(match)
    attached = match[0].startswith(amount + expression)
    if attached and (
        expression == "d"
        or (expression == "s" and not _is_seconds(amount))
        or (expression in "VWLNJ" and _SEAT.search(before))
    ):
        return match[0]
    if len(expression) == 1 and after.startswith("-"):  # "5 t-shirts"
        return match[0]
    adjective = "-" in match[0][len(amount) :] or (_ARTICLE.search(before) and _NOUN.match(after))
    single = _is_one(amount) or adjective or _NAMED.match(after)
    return f"{amount} {spoken_unit(expression, plural=not single)}"


def _is_one(amount: str) -> bool:
    """Return whether a unit is singular: "1 km", "1/2 mile", but "120/80"."""
    top, _, bottom = amount.partition("/")
    if bottom:
        return top.isdecimal() and int(top) < int(bottom)
    return amount == "1" or amount in _FRACTIONS


def _is_seconds(amount: str) -> bool:
    """Return whether "15s" is a time, as "90s" is not."""
    return "." in amount or (len(amount) < 3 and (not amount.endswith("0") or amount == "10"))


def _lone(match: re.Match[str]) -> str:
    """Return the words for a unit without a number: "in km/h", "per m²"; not "N/A" or "x²"."""
    expression = match[0]
    if "⁻" not in expression and not re.search(r"\bc?k?m[²³]", expression):
        symbols = expression.split("/")
        known = expression in ("m/s", "g/L", "g/l", "W/m", "N/m", "V/m", "J/K")
        if len(symbols) != 2 or not (known or len(symbols[0]) > 1 or symbols[1][-1] in "²³"):
            return expression
    return spoken_unit(expression, plural="/" in expression)


def _inches(match: re.Match[str]) -> str:
    """Return "15 inch" for 15", unless the mark closes a quotation."""
    before, after = match.string[: match.start()], match.string[match.end() :]
    if before.count('"') % 2 or before.count("“") > before.count("”"):
        return match[0]
    noun = _NOUN.match(after) or (_ARTICLE.search(before[-60:]) and re.match(r" [A-Z]", after))
    single = _is_one(match[1]) or (noun and match[1][0] != "0")
    return f"{match[1]} {'inch' if single else 'inches'}"


def _feet(match: re.Match[str]) -> str:
    before = text_before(match)
    return match[0] if re.search(r"(?<!\w)'", before) else f"{match[1]} feet"


def _bearing(match: re.Match[str]) -> str:
    parts = [f"{match[1]} degrees"]
    parts += [f"{match[2]} minutes"] if match[2] else []
    parts += [f"{match[3]} seconds"] if match[3] else []
    return " ".join([*parts, _BEARINGS[match[4]]])


def _temperature(match: re.Match[str]) -> str:
    """Return 350°F for 350F, unless it is a seat or a room."""
    if _SEAT.search(text_before(match)) or _LABEL.search(text_before(match)):
        return match[0]
    return f"{match[1]}°{match[2]}" + (" or " if match[0].endswith("/") else "")


UNITS = RuleGroup(
    re.compile(rf"[\d{_FRACTIONS}][ -]?[A-Za-zµμΩ°º%'′\"″”]|[⁰¹²³⁴-⁹] [A-Za-zµμΩ]"),
    (
        rule(
            r"(?<![\w.,$#–])(\d{2,3}(?:\.\d)?)([FC])(?:/(?=\d)|\b(?![-'’\w]|\+))",
            _temperature,
            ("Bake at 350F.", "Bake at three hundred fifty degrees Fahrenheit."),
            ("at 37C", "at thirty-seven degrees Celsius"),
            (
                "180C/350F",
                "one hundred eighty degrees Celsius or three hundred fifty degrees Fahrenheit",
            ),
            ("seat 12C", "seat twelve C"),
        ),
        rule(
            r"(?<![\w.,$#/–])(\d\d\.\d) ([FC])(?=$|[.,;)])",
            _temperature,
            ("a fever of 38.5 C", "a fever of thirty-eight point five degrees Celsius"),
        ),
        rule(
            r"(?<![\w.])(\d{1,2})['′]-?(?: ?(\d{1,2}(?:\.5| ?½)?)(?:[\"″”]|''|(?= tall))(?!\w))",
            lambda m: f"{m[1]} foot" + ("" if m[2] == "0" else f" {m[2]}"),
            ("He is 5'10\" tall.", "He is five foot ten tall."),
            ("from 6'0\" to 5'-10\"", "from six foot to five foot ten"),
        ),
        rule(
            r"(?<![\w.'])([3-8])['′] ?(\d|1[01])(?![\w'′]|[.,]\d)",
            lambda m: f"{m[1]} foot" + ("" if m[2] == "0" else f" {m[2]}"),
            ("He is 5'11.", "He is five foot eleven."),
        ),
        rule(
            r"(?<![\w.'])(\d{1,2})['′] ?[–-] ?(\d{1,2})['′](?!\w| ?\d)",
            r"\1 to \2 feet",
            ("5'–6' tall", "five to six feet tall"),
        ),
        rule(
            r"(?<![\w.'])(\d{1,2})['′](?=,? (?:tall|long|wide|high|deep|by|x)\b|$)",
            _feet,
            ("a wall 6' high", "a wall six feet high"),
        ),
        rule(
            r"(?<![\w.'$:])(\d{1,3})['′](?= (?!(?:and|or|in|at|to|of|is|was|said|he|she|they)\b)"
            r"[a-z]{3})",
            lambda m: _feet(m).replace("feet", "foot"),
            ("a 12' ladder", "a twelve foot ladder"),
        ),
        rule(
            rf"(?<![\w./])({_AMOUNT})[\"″”](?=[ ,.;)]|$)",
            _inches,
            ('a 15" laptop', "a fifteen inch laptop"),
            ('a 6.7" OLED screen', "a six point seven inch oled screen"),
            ('"I have 5" he said', "I have five he said"),
        ),
        rule(
            rf"(\d ?)({_ANY}|%) ?[–-] ?(?=(?>{NUMBER}) ?\2(?!\w))",
            r"\1\2 to ",
            ("20°C–25°C", "twenty degrees Celsius to twenty-five degrees Celsius"),
            ("50%-60%", "fifty percent to sixty percent"),
        ),
        rule(
            r"(\d) ?°(?: ?(\d+)['′])?(?: ?(\d+)[\"″])? ?([NSEW])\b",
            _bearing,
            ("45°N", "forty-five degrees north"),
            ("40°26′N", "forty degrees twenty-six minutes north"),
        ),
        rule(
            rf"(?=[\d.{_FRACTIONS}])(?:(?<![\w.,$€£¥₹])(?<![$€£¥₹] )(?<!USD )(?<!EUR )(?<!GBP )"
            rf"|(?<=\d[x×]))((?>{_AMOUNT}))"
            rf"(?:[ -]?({_EXPRESSION})|({_CAPITAL_EXPRESSION})"
            rf"| ([AVWLNJ]{_RAISED}?{_REST}(?:(?<=/\w)|(?<=[²³])|{_CAPITAL_END})"
            rf"|(?:(?<=\d\d.)|(?<== \d.))K{_CAPITAL_END}|[VW](?= [a-z])))"
            rf"{_NO_WORD}{_DOT}",
            _unit,
            ("5 km, 1 m, 500g", "five kilometers, one meter, five hundred grams"),
            (
                "9.8 m/s² or 5 m·s⁻¹",
                "nine point eight meters per second squared or five meters per second",
            ),
            ("60 mph, 12 kWh", "sixty miles per hour, twelve kilowatt hours"),
            ("5 ft. tall", "five feet tall"),
            ("a 5 km race", "a five kilometer race"),
            ("1/2 tsp. salt", "one half teaspoon salt"),
            ("-5°C, 90°", "minus five degrees Celsius, ninety degrees"),
            ("1 L, 5 W", "one liter, five watts"),
            ("15s, but the 90s", "fifteen seconds, but the nineties"),
            ("20 m2", "twenty square meters"),
        ),
        rule(
            r"(?<=\d)in\b(?!-)|(?<=feet \d) in\b|(?<=feet \d\d) in\b|(?<=\d) ?in(?:\."
            r"(?= [a-z\d]|[,;)]|$)|(?=$|[.,;)]| (?:long|wide|tall|high|thick|deep"
            r"|by|x)\b))",
            " inches",
            ("two by 3 in. wide", "two by three inches wide"),
            ("1 in 5 people", "one in five people"),
        ),
    ),
)


LONE_UNITS = RuleGroup(
    re.compile(r"[a-zA-ZΩ](?:[⁻²³]|/[a-zA-Zµμ])"),
    (
        rule(
            rf"(?<![\w.,/])(?<!\d )(?:{_ANY}){_RAISED}?(?:[·⋅∙*]{_FACTOR}| (?:{_ANY}){_RAISED})*"
            rf"(?:/(?:{_ANY}){_RAISED}?)?(?![\w/⁰-⁹])",
            _lone,
            ("in kg·m⁻³", "in kilogram per cubic meter"),
            ("the W/m² and km/h", "the watts per square meter and kilometers per hour"),
            ("3 × 10⁸ m/s", "three times ten to the power of eight meters per second"),
            ("per m²", "per square meter"),
            ("A/V", "A V"),
        ),
    ),
)
