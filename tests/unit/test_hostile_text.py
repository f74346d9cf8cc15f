"""Hostile text is cleaned, split and checked in linear time."""

from voxcpm_openai.text import clean, foreign_letters, split

HOSTILE = [
    *"*_`[]()<>~#-+|$&!\\\n .\"',?…。/👍\u200d\u0301¹$",
    "!?x",
    "** a",
    "*a_b ",
    "` ``",
    "[a](b",
    "[a](x[a](y)z",
    "![[a]",
    "[^",
    "[a]: b/c\n",
    "<a ",
    "<!--",
    "<script>",
    "</x><x>",
    "&#x301;&#x315;",
    "```py\n",
    "````\n```\n",
    "|-|\n",
    "- \n",
    "> - # ",
    "https://a.b(",
    "a-",
    "1.",
    "5 $",
    "$_",
    "A. ",
    'Dr. "(',
    "a\u0315\u00ad\u0300",
    "\u2028\ue000 ",
    "long enough to be a wrapped line in an old and yellow letter\n",
]


def test_hostile_text_takes_linear_time() -> None:
    """Quadratic time would take minutes here, not seconds."""
    for piece in HOSTILE:
        text = "x" + piece * (40_000 // len(piece)) + "x"
        for part in (clean(text), text):
            assert "".join(s.text for s in split(part)).endswith("x")
            foreign_letters(part, ("en",))
