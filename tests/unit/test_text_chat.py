"""What chat programs and people at a keyboard write."""

import pytest

from voxcpm_openai.text import clean

WRITTEN = [
    ("Hi <@123456789> <:smile:987654321> there.", "Hi there."),
    ("Hi <@!12>, <@&34>: see <#56>!", "Hi,: see!"),
    ("<a:wave:123> at <t:1618953630:R>.", "at."),
    ("Ask <@U024BE7LH> in <#C024BE7LR|general>, <!here> or <@U1|ann>", "Ask in general, or ann"),
    (
        "<!subteam^S123|@team> see <https://x.com/a?b=c|the page> <mailto:a@b.c|a@b.c>",
        "@team see the page a@b.c",
    ),
    ("Nice :thumbsup: work :wave::skin-tone-2:, :+1:", "Nice work,"),
    ("He dies: ||Snape kills him||.", "He dies: Snape kills him."),
    ("`<@123> :a_b: ||x||` ok", "<@123> :a_b: ||x|| ok"),
    ("==very important== and **bold** words.", "very important and bold words."),
    ("don`t, I won`t and l´homme d′or", "don't, I won't and l'homme d'or"),
    ("`don` is not, `x` isn`t", "don is not, x isn't"),
    ("is`False` by ``\\n`` it", "isFalse by \\n it"),
    ("Well . . . yes. . . .", "Well… yes…"),
    ("First line.\\nSecond line.", "First line.\nSecond line."),
    ("Hi,\\n\\nI am\\there\\r\\nnow", "Hi,\n\nI am here\nnow"),
    ("One.\\nTwo\\nThree", "One.\nTwo\nThree"),
    ("<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>を", "漢字を"),
    ("<ruby>漢<rt>かん<rt>x</ruby>字", "漢字"),
    ("It rained - a lot -- all day.", "It rained — a lot — all day."),
    ("It rained--a lot---really", "It rained — a lot — really"),
    ("“Yes” - he said -- “no”", "“Yes” — he said — “no”"),
    ("Vitamin C - good for you", "Vitamin C — good for you"),
    ("他说（GPT-4）很好，用GPT！（真）：是", "他说（GPT-4）很好，用GPT！（真）：是"),
    ("Ｏｋ！（ｙｅｓ）", "Ok!(yes)"),
    (
        "won\u200bder\u200bful 你\u200b好 end.\u200bNext example\u200b.com",
        "wonderful 你好 end. Next example.com",
    ),
]
STAYS = [
    "At 10:30:45, note: a: b, and a:b:c",
    "a || b || c",
    "if a == b == c or x==y and y==z",
    "a -- b and i--; x - y and 3 - 2",
    "It fell to - 5 or -5, or 5 - 3.",
    "use --help or -v -- and more",
    "well-known, two- and three-year",
    "C:\\new\\table and \\\\host\\new",
    "C:\\Program Files\\new\\test",
    "the \\n character, '\\n' and \\neq \\theta",
    'print("a\\nb")',
    "Wait... what?",
    "He said. . no",
    "A – B — C",
    ":return: the path",
    "the \\n, and (\\r).",
    "A - Z",
    "Monday–Friday",
    "block__x--big",
]


@pytest.mark.parametrize(("text", "said"), WRITTEN)
def test_written(text: str, said: str) -> None:
    assert clean(text) == said


@pytest.mark.parametrize("text", STAYS)
def test_stays(text: str) -> None:
    assert clean(text) == text


def test_code_spans_keep_written_breaks() -> None:
    assert clean("`a\\nb` is a\\nb") == "a\\nb is a\nb"
    assert clean("a\\nb\nc") == "a\\nb\nc"
