"""Names of units, and their plurals."""

from __future__ import annotations

_PREFIXES = {
    "p": "pico", "n": "nano", "µ": "micro", "μ": "micro", "m": "milli", "c": "centi", "d": "deci",
    "h": "hecto", "k": "kilo", "K": "kilo", "M": "mega", "G": "giga", "T": "tera", "P": "peta",
}  # fmt: skip
_PREFIXED = {  # unit: its name, and the prefixes that it takes
    "m": ("meter", "nµμmcdk"),
    "g": ("gram", "nµμmk"),
    "l": ("liter", "nµμmcd"),
    "L": ("liter", "nµμmcd"),
    "s": ("second", "pnµμm"),
    "V": ("volt", "nµμmkM"),
    "A": ("amp", "nµμmk"),
    "W": ("watt", "nµμmkMGT"),
    "Wh": ("watt hour", "kMGT"),
    "Ah": ("amp hour", "mk"),
    "VA": ("volt-ampere", "kM"),
    "Ω": ("ohm", "mkM"),
    "N": ("newton", "mkM"),
    "Nm": ("newton meter", "k"),
    "J": ("joule", "mkMG"),
    "Hz": ("hertz", "kMGT"),
    "Pa": ("pascal", "hkMG"),
    "bar": ("bar", "m"),
    "mol": ("mole", "nµμm"),
    "cal": ("calorie", "k"),
    "eV": ("electron volt", "kMGT"),
    "Sv": ("sievert", "µμm"),
    "Gy": ("gray", "m"),
    "Bq": ("becquerel", "kMG"),
    "bit": ("bit", "kMGT"),
    "bits": ("bit", ""),
    "bps": ("bit per second", "kMGT"),
}
NAMES = {
    "K": "kelvin", "F": "farad", "µF": "microfarad", "nF": "nanofarad", "pF": "picofarad",
    "C": "coulomb", "T": "tesla", "mT": "millitesla", "kB": "kilobyte", "KB": "kilobyte",
    "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "PB": "petabyte", "KiB": "kibibyte",
    "MiB": "mebibyte", "GiB": "gibibyte", "TiB": "tebibyte", "MP": "megapixel", "px": "pixel",
    "dpi": "dot per inch", "ppi": "pixel per inch", "fps": "frame per second",
    "rpm": "revolution per minute", "RPM": "revolution per minute", "bpm": "beat per minute",
    "BPM": "beat per minute", "ppm": "part per million", "ppb": "part per billion",
    "mph": "mile per hour", "kph": "kilometer per hour", "kmh": "kilometer per hour",
    "mpg": "mile per gallon", "psi": "pound per square inch", "mmHg": "millimeter of mercury",
    "dB": "decibel", "lm": "lumen", "lx": "lux", "hp": "horsepower", "kn": "knot",
    "ft": "foot", "ft-lb": "foot-pound", "ft-lbs": "foot-pound",
    "mi": "mile", "yd": "yard", "yds": "yard", "ha": "hectare",
    "lb": "pound", "lbs": "pound", "oz": "ounce", "fl oz": "fluid ounce", "fl. oz": "fluid ounce",
    "gal": "gallon", "qt": "quart", "qts": "quart", "pt": "pint", "pts": "point", "t": "tonne",
    "tsp": "teaspoon", "tsps": "teaspoon", "tbsp": "tablespoon", "tbsps": "tablespoon",
    "mcg": "microgram", "TBSP": "tablespoon", "TSP": "teaspoon",
    "Tbsp": "tablespoon", "c.": "cup", "atm": "atmosphere", "ly": "light-year",
    "cc": "cubic centimeter", "kgs": "kilogram", "Kg": "kilogram", "kms": "kilometer",
    "h": "hour", "hr": "hour", "hrs": "hour", "min": "minute", "mins": "minute", "sec": "second",
    "secs": "second", "d": "day", "wk": "week", "wks": "week", "mo": "month", "mos": "month",
    "yr": "year", "yrs": "year", "sq ft": "square foot", "sq m": "square meter",
    "sq mi": "square mile", "sq km": "square kilometer", "sq in": "square inch",
    "sq. ft": "square foot", "sq. mi": "square mile", "sqft": "square foot",
    "cu ft": "cubic foot", "cu. ft": "cubic foot", "cu m": "cubic meter", "cu in": "cubic inch",
    "°C": "degree Celsius", "° C": "degree Celsius", "ºC": "degree Celsius",
    "°F": "degree Fahrenheit", "° F": "degree Fahrenheit", "ºF": "degree Fahrenheit",
    "°K": "kelvin", "°": "degree", "º": "degree",
}  # fmt: skip
NAMES |= {symbol: name for symbol, (name, _) in _PREFIXED.items()}
NAMES |= {
    prefix + symbol: _PREFIXES[prefix] + name
    for symbol, (name, prefixes) in _PREFIXED.items()
    for prefix in prefixes
}
_PLURALS = {
    "foot": "feet",
    "inch": "inches",
    "lux": "lux",
    "horsepower": "horsepower",
    "bar": "bar",
}


def plural_unit(name: str) -> str:
    """Return a plural: "feet", "meters per second", "degrees Celsius"."""
    head, space, rest = name.partition(" ")
    if rest.startswith(("per ", "of ", "Celsius", "Fahrenheit")):
        return plural_unit(head) + space + rest
    first, space, last = name.rpartition(" ")
    return (
        first
        + space
        + (_PLURALS.get(last) or last + ("" if last.endswith(("hertz", "kelvin")) else "s"))
    )
