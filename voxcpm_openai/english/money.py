"""Amounts of money: "$3.50", "a £5 note", "$5–10 million", "3,50 €", "USD 100", "50¢"."""

from __future__ import annotations

import re

from voxcpm_openai.english.numbers import NUMBER, cardinal, number
from voxcpm_openai.english.rule import RuleGroup, alternatives, rule, text_after, text_before

_CURRENCIES = {  # sign -> singular, plural, hundredth (singular, plural)
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₽": ("rouble", "roubles", "kopeck", "kopecks"),
    "₩": ("won", "won", "jeon", "jeon"),
    "₿": ("bitcoin", "bitcoins", "", ""),
    "₺": ("lira", "lira", "kurush", "kurush"),
    "₴": ("hryvnia", "hryvnias", "kopeck", "kopecks"),
    "₱": ("peso", "pesos", "centavo", "centavos"),
    "₪": ("shekel", "shekels", "agora", "agorot"),
    "₫": ("dong", "dong", "", ""),
    "฿": ("baht", "baht", "satang", "satang"),
    "₦": ("naira", "naira", "kobo", "kobo"),
    "USD": ("U\u00a0S dollar", "U\u00a0S dollars", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "GBP": ("British pound", "British pounds", "penny", "pence"),
    "JPY": ("Japanese yen", "Japanese yen", "sen", "sen"),
    "CHF": ("Swiss franc", "Swiss francs", "centime", "centimes"),
    "CAD": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "AUD": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "CNY": ("Chinese yuan", "Chinese yuan", "fen", "fen"),
    "INR": ("Indian rupee", "Indian rupees", "paisa", "paise"),
    "BTC": ("bitcoin", "bitcoins", "", ""),
    "Rs": ("rupee", "rupees", "paisa", "paise"),
}
_PREFIXES = {
    "US": "U\u00a0S ",
    "C": "Canadian ",
    "CA": "Canadian ",
    "CAD": "Canadian ",
    "A": "Australian ",
    "AU": "Australian ",
    "NZ": "New Zealand ",
    "HK": "Hong Kong ",
    "S": "Singapore ",
    "R": "Brazilian ",
}
_SCALES = {
    **dict.fromkeys(("k", "K"), "thousand"),
    **dict.fromkeys(("m", "mn", "mln", "mm", "M", "MM"), "million"),
    **dict.fromkeys(("b", "bn", "B", "BN"), "billion"),
    **dict.fromkeys(("t", "tn", "trn", "T"), "trillion"),
}
_PER = {
    "h": "hour", "hr": "hour", "mo": "month", "yr": "year", "wk": "week", "d": "day", "lb": "pound",
    "kg": "kilogram", "km": "kilometer", "mi": "mile", "m": "meter", "L": "liter", "l": "liter",
    "GB": "gigabyte", "mL": "milliliter", "ml": "milliliter", "cm": "centimeter",
    "kWh": "kilowatt hour", "MWh": "megawatt hour", "oz": "ounce", "g": "gram",
    "min": "minute", "s": "second", "bbl": "barrel",
    "m²": "square meter", "sq ft": "square foot", "gal": "gallon",
}  # fmt: skip
_PER_WORDS = "hour|month|year|week|day|night|person|head|kilo|mile|user|seat|unit|share|barrel|ton"

_SIGN = "[" + "".join(sign for sign in _CURRENCIES if len(sign) == 1) + "]"
_CODE = alternatives(code for code in _CURRENCIES if len(code) > 1)
_SCALE_WORDS = "hundred|thousand|million|billion|trillion"
_SCALE = rf"(?: ?({alternatives(_SCALES)})(?!\w|\.\w)|[ -]({_SCALE_WORDS})\b)?"
_AMOUNT = rf"{NUMBER}|\.\d+"

_ARTICLE = re.compile(
    r"\b(?:[Aa]n?|[Tt]h(?:e|is|at)|[Mm]y|[Yy]our|[Hh]is|[Hh]er|[Oo]ur|[Tt]heir) $"
)
_BILL = re.compile(
    r" (?:bills?|notes?|coins?|stamps?|cover|fees?|fines?|tips?|gifts?|discounts?|deposits?"
    r"|coupons?|budgets?|deals?|loans?|grants?|rewards?|prizes?|rebates?|co-?pays?|deductibles?|bounty)\b"
)
_NOUN = re.compile(
    r"-[a-z]| (?!(?:per|an?|the|each|every|and|or|but|for|i[nstf]|on|to|at|as|was|are|were|of"
    r"|off|from"
    r"|by|with|he|she|they|we|you|who|which|that|this|i|more|less|worth|back|extra|apiece|now|today"
    r"|last|next|when|while|because|will|would|could|may|has|had|have|into|over|under|up|down"
    r"|\w+ed|\w+ly)\b)[a-z]"
)


def amount(text: str, sign: str, scale: str | None, prefix: str, *, adjective: bool) -> str:
    """Return an amount of money: "3.50" and "$" are "three dollars and fifty cents".

    As an adjective the currency is singular: "a five dollar bill".
    """
    one, many, cent, cents = _CURRENCIES[sign]
    whole, _, rest = text.replace(",", "").partition(".")
    if scale or len(rest) > 2 or (rest and not cent):
        return f"{number(text)} {scale or ''}".strip() + f" {prefix}{one if adjective else many}"
    parts = []
    if int(whole or "0") or not int(rest or "0"):
        unit = one if int(whole or "0") == 1 or adjective else many
        parts.append(f"{cardinal(whole or '0')} {prefix}{unit}")
    if int(rest or "0"):
        minor = int(rest.ljust(2, "0"))
        parts.append(f"{cardinal(str(minor))} {cent if minor == 1 else cents}")
    return " and ".join(parts)


def _is_adjective(match: re.Match[str]) -> bool:
    before, after = text_before(match), text_after(match)
    hyphen = re.search(r"\d-[a-z]+$", match[0]) or re.match(r"-[a-z]", after)
    bill = _BILL.match(after)
    return bool(hyphen or bill or (_ARTICLE.search(before) and _NOUN.match(after)))


def _scale(short: str | None, word: str | None) -> str | None:
    return _SCALES[short] if short else word


def _money(match: re.Match[str]) -> str:
    sign, prefix, currency, text, short, word = match.groups()
    words = amount(
        text,
        currency,
        _scale(short, word),
        _PREFIXES.get(prefix or "", ""),
        adjective=_is_adjective(match),
    )
    return f"minus {words}" if sign else words


def _money_range(match: re.Match[str]) -> str:
    currency, first, short, word, last, last_short, last_word = match.groups()
    scale = _scale(short, word)
    adjective = _is_adjective(match)
    words = amount(last, currency, _scale(last_short, last_word), "", adjective=adjective)
    if "." in first and not scale and len(first.partition(".")[2]) == 2:
        return f"{amount(first, currency, None, '', adjective=adjective)} to {words}"
    return " ".join(filter(None, [number(first), scale, "to", words]))


def _money_after(match: re.Match[str]) -> str:
    sign, text, short, word, currency = match.groups()
    if re.search(r",\d{1,2}$", text):  # 3,50 € and 1.000,50 €
        text = text.replace(".", "").replace(",", ".")
    elif re.search(r"\.\d{3}$", text):
        text = text.replace(".", "")
    words = amount(text, currency, _scale(short, word), "", adjective=_is_adjective(match))
    return f"minus {words}" if sign else words


def _lone_sign(match: re.Match[str]) -> str:
    lead = " " if re.search(r"\w$", text_before(match)) else ""
    return lead + _CURRENCIES[match[1]][0]


MONEY = RuleGroup(
    re.compile(rf"{_SIGN}|¢|\b(?:{_CODE})\b|\d(?:{_CODE})\b"),
    (
        rule(r"(?<=\d),-(?!\w)", "", ("5,- € or $5,-", "five euros or five dollars")),
        rule(
            rf"({_SIGN})({_AMOUNT}){_SCALE} ?[-–—] ?\1?({_AMOUNT}){_SCALE}",
            _money_range,
            ("Between $5–$10 a day.", "Between five to ten dollars a day."),
            ("$5-10 million", "five to ten million dollars"),
        ),
        rule(rf"({_SIGN})[-−](?=\d)", r"-\1", ("$-5", "minus five dollars")),
        rule(
            r"(?<!\d)([-−](?=[A-Z$€£¥₹]))?"
            rf"(?:(?<![A-Za-z])({alternatives(_PREFIXES)}))?({_SIGN}) ?({_AMOUNT}){_SCALE}",
            _money,
            ("It cost $3.5, not $0.50.", "It cost three dollars and fifty cents, not fifty cents."),
            ("a $4bn deal, or US$10", "a four billion dollar deal, or ten U\u00a0S dollars"),
            ("For $20, 3 people", "For twenty dollars, three people"),
            ("a $5 bill", "a five dollar bill"),
            ("-$5", "minus five dollars"),
            ("Found $5 bill", "Found five dollar bill"),
        ),
        rule(
            rf"(?<![\w.,])()()({_CODE})\.? ?({_AMOUNT}){_SCALE}",
            _money,
            ("USD 100", "one hundred U\u00a0S dollars"),
            ("Rs. 500", "five hundred rupees"),
        ),
        rule(
            r"(?<![\w.,$€£¥₹])([-−])?(\d+(?:[.,]\d{3})*(?:[.,]\d+)?)"
            rf"{_SCALE} ?({_SIGN}|(?:{_CODE})\b)(?!\w|{_SIGN})",
            _money_after,
            ("5 € or 3,50 €", "five euros or three euros and fifty cents"),
            ("5 ₽", "five roubles"),
        ),
        rule(
            rf"(?<![\w.,])({NUMBER}) ?¢",
            lambda m: f"{number(m[1])} cent{'' if m[1] == '1' else 's'}",
            ("50¢", "fifty cents"),
        ),
        rule(r"(?<=[A-Za-z])\$(?=[A-Za-z])", "s", ("Ke$ha", "Kesha")),
        rule(rf"({_SIGN})\1*", _lone_sign, ("$ or €?", "dollar or euro?")),
    ),
)
"""Amounts with a currency."""

SCALES = RuleGroup(
    re.compile(r"\d(?:[kKMmB]|bn)\b"),
    (
        rule(
            r"(?<![\w.,$€£¥])(\d+(?:\.\d+)?)(bn|[kKMmB])(?= (?:more |new |active )?(?:people|users"
            r"|followers|views|subscribers|viewers|customers|copies|jobs|homes|members|downloads"
            r"|tokens|parameters|likes|votes|words|rows|records|requests|barrels|stars)\b)",
            lambda m: f"{number(m[1])} {_SCALES[m[2]]}",
            ("5M users and 10k followers", "five million users and ten thousand followers"),
        ),
        rule(
            r"(?<![\w.,$€£¥-])(\d+(?:\.\d+)?k|\d{2,}K)\b(?![-'’]| (?:races?|runs?|video"
            r"|resolution)\b)",
            lambda m: f"{number(m[1][:-1])} thousand",
            ("about 10k", "about ten thousand"),
            ("4K video, 10K run", "four K video, ten K run"),
        ),
    ),
)
"""Large numbers with a letter; runs before the units, which have the same letters."""

RATES = RuleGroup(
    re.compile(r"[\w%]/[a-zA-Z]"),
    (
        rule(
            rf"(?:(?<=[a-z]s)|(?<=\b[yw][eo]n)|(?<=\bdollar)|(?<=\beuro)|"
            rf"(?<=\bpound))/({alternatives(_PER)}|{_PER_WORDS})(?!\w)(?:\.(?= [a-z]))?",
            lambda m: f" per {_PER.get(m[1], m[1])}",
            ("$5/month", "five dollars per month"),
        ),
        rule(
            rf"(?:(?<=[\d%])|(?<=\dx))/({_PER_WORDS})\b",
            r" per \1",
            ("2/day or 2x/day", "two per day or two times per day"),
        ),
    ),
)
