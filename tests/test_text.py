"""What is read aloud of a text, where it breathes, and what nobody can say."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxcpm_openai.text import clean, foreign_letters, speakable, split
from voxcpm_openai.text.split import CLAUSE, LINE, PARAGRAPH, SENTENCE, weight

PLAIN = [
    "snake_case_name and __dunder",
    "a < b and c > d",
    "C#",
    "f(x) = x^2",
    "[sic]",
    "arr[0], matrix[i][j], a[i](x)",
    "1) yes",
    "1. First\n2. Second",
    "e.g. this, i.e. that",
    "3.14",
    "- 5 degrees",
    "+ 5 points",
    "me@example.com",
    "#1",
    "#hashtag",
    "R&D at AT&T",
    "vector<int> x; a<b",
    "“Don’t,” she said. ‘Why?’",
    "It's 'quoted' and \"quoted\".",
    "$5 and $10.50, £3, 50¢",
    "A$AP",
    "x ² ½ 20 °C ™ © ±",
    "a**b**c",
    "~5 or 10~",
    "and/or",
    "naïve café Zoë",
    "你好，世界！真的吗？",
    "Привет, мир",
    "A → B",
    "[Bob]: yes.",
    "Is 3 * x big?",
    "100% & more",
    ".",
    "...",
    "One.\n\nTwo.\nThree.",
]

MARKUP = [
    ("# Title\nText", "Title\nText"),
    ("## C# ##", "C#"),
    ("Title\n=====\nText", "Title\n\nText"),
    ("**b** __b__ *i* _i_ ~~s~~ ***bi***", "b b i i s bi"),
    ("**bold *and* more** (**x**)", "bold and more (x)"),
    ("**Note:**text", "Note:text"),
    ("这是**重点**内容", "这是重点内容"),
    ("Price* excludes tax", "Price excludes tax"),
    ("use `snake_case` and ``a`b``", "use snake_case and a`b"),
    ("`__init__`, `<br>` and `*`", "__init__, <br> and *"),
    (r"\*not\* \_this\_", "*not* _this_"),
    ("Do:\n```py\nx = 1\n```\nDone.", "Do:\n\nDone."),
    ("```py\nx = [1](2)\n# y\n```", "x = [1](2)\n# y"),
    ("````\n```\nx\n```\n````\nend", "end"),
    ("```\nx\n```\n```\ny", "y"),
    ("x\n```\nThat's it.", "x\nThat's it."),
    ("> ```\n> x\n> ```\n> said", "said"),
    ("[text](https://x.com/a_(b)) ok", "text ok"),
    ('[t](x/y.md "title").', "t."),
    ("[a [b] c](<x y>)", "a [b] c"),
    ("请看[这里](https://x.com)。", "请看这里。"),
    ("![alt](data:image/png;base64,AAAA)", "alt"),
    ("[![badge](i.png)](https://x.y)", "badge"),
    ("[a][1] [B] [c]\n\n[1]: https://x.com\n[b]: x/y 'T'", "a B [c]"),
    ("Sky[^1] is blue.[1][2]\n\n[^1]: Mostly.", "Sky is blue.\n\nMostly."),
    ("See【4:0†source】this", "Seethis"),
    ("see https://www.example.com:80/p?q=1#f. Then", "see example.com. Then"),
    ("(https://user:pw@a.example/c_(d))", "(a.example)"),
    ("**https://a.com/x**, www.b.com/y!", "a.com, b.com!"),
    ("<https://a.com/x> <me@a.com> mailto:b@c.de", "a.com me@a.com b@c.de"),
    ("访问https://example.com/a。谢谢", "访问example.com。谢谢"),
    ("> quote\n>> more", "quote\nmore"),
    ("> [!NOTE]\n> Beware", "Note\nBeware"),
    ("> - **x**", "x"),
    ("| a | b |\n|---|:-:|\n| 1. | `|` |", "a, b\n1. |"),
    ("a | b\n--|--\n1 | 2\n\nc | d", "a, b\n1, 2\n\nc | d"),
    ("+---+\n| x |\n+---+", "x"),
    ("a\n\n* * *\n\nb", "a\n\nb"),
    ("a  \nb\\\nc", "a\nb\nc"),
    ("- one\n+ two\n• three\n-\n* four", "one\ntwo\nthree\n\nfour"),
    ("- 5 apples\n- 3 pears", "5 apples\n3 pears"),
    ("- [ ] open\n- [x] done\n1. [X] third", "open\ndone\n1. third"),
    ("✅ Done\n🚀 Go", "Done\nGo"),
    ("<p>Hi&nbsp;<b>y</b>ou &amp; me<br/>x</p><p>z</p>", "Hi you & me\nx\n\nz"),
    ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
    ("<tr><td>a</td><td>b</td></tr>", "a, b"),
    ("a<!-- b\nc -->d<script>x</script>e", "a d e"),
    ("<think>hm</think>Hi", "Hi"),
    ("<speak>Hi<break time='1s'/>you</speak>", "Hi you"),
    ("<custom>x</custom> <int>", "x <int>"),
    ("&lt;b&gt; &#42;x&#42; &#x1F600; &copy 1", "<b> *x* &copy 1"),
    ("$$x^2$$ $a_b$ \\(y\\) costs $5 or $6", "x^2 a_b y costs $5 or $6"),
]

CHARACTERS = [
    ("2 * 3 * 4, 5*3", "2 × 3 × 4, 5×3"),
    ("Hi👋there", "Hi there"),
    ("Great 👍🏽👍!", "Great!"),
    ("I ❤️ you ♥", "I you"),
    ("👨\u200d👩\u200d👧 🇺🇸 family", "family"),
    ("1\ufe0f\u20e3 First", "1 First"),
    ("\ufeffHi\u200b\u200b there\u00adfore\u2060.", "Hi therefore."),
    ("a\u200bb\x00c\ue000d", "a b c d"),
    ("a\u00a0b\u2003c\u3000d\te", "a b c d e"),
    ("a\r\nb\rc\u2028d\u2029e", "a\nb\nc\nd\n\ne"),
    ("Ｈｅｌｌｏ！ ＡＢ＋１", "Hello! AB+1"),
    ("𝐇𝐞𝐥𝐥𝐨 ℝ ﬁne Ⓐ ① Ⅷ ㎏ 20 ℃", "Hello R fine A 1 VIII kg 20 °C"),
    ("x⁴ 10¹² x² word¹² 2⅓", "x^4 10^12 x² word¹² 2 1/3"),
    ("ｶﾞｷﾞ", "ガギ"),
    ("e\u0301", "é"),
    ("e\u00ad\u0301", "é"),
    ("B♭ − 3", "B flat - 3"),
    ("a • b", "a, b"),
    ("$ or €? $$$", "dollar or euro? dollar"),
    ("5 €, 1.000,50 €/kg", "€5, €1.000,50/kg"),
    ("Name: ______", "Name:"),
    ("a\n\n\n\n\nb", "a\n\nb"),
    ("It was the best of times, it was the worst of times, it was\nthe age.", None),
    ("This line is as long as lines are in an old letter, a well-\nknown one.", None),
    *[
        (empty, "")
        for empty in ("", " \n", "---", "***", "*", "🎉🎉", "\u200b", "```", "![](x)", "—")
    ],
]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text_stays(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(("text", "said"), MARKUP + CHARACTERS)
def test_clean(text: str, said: str | None) -> None:
    wrapped = text.replace("-\n", "-").replace("\n", " ")
    assert clean(text) == (wrapped if said is None else said)


WORDS = st.text(alphabet="abcdefgxyzéñABC", min_size=1, max_size=12)
SENTENCES = st.lists(
    st.builds(
        lambda words, end: " ".join(words) + end,
        st.lists(WORDS, min_size=1),
        st.sampled_from(".!?"),
    )
).map(" ".join)


@given(SENTENCES)
def test_plain_sentences_stay(text: str) -> None:
    assert clean(text) == text


@given(
    st.text(alphabet=st.sampled_from("ab1 \n*_`[]()<>~#-+|$&!\\.:/👍\u0301\u200d你"), max_size=60)
)
def test_clean_takes_anything(text: str) -> None:
    said = clean(text)
    assert said == unicodedata.normalize("NFC", said) == said.strip()
    assert "\n\n\n" not in said
    assert "👍" not in said
    assert said.count("你") <= text.count("你")


SPLITS = [
    ("", []),
    (" \n ", []),
    (".", ["."]),
    ("Hi. Yes.", ["Hi.", "Yes."]),
    ("Wait... What?! No… Oh.", ["Wait...", "What?!", "No…", "Oh."]),
    ("Wait... what? he said.", ["Wait... what? he said."]),
    ("Dr. Smith met Mr. and Mrs. Jones on Main St. Anna.", None),
    ("Use e.g. Tom or i.e. that, etc. and so on vs. Them all.", None),
    ("See No. 5 and Fig. 3 on Jan. 4 at 3.14 or v1.2.", None),
    ("I said No. Then left.", ["I said No.", "Then left."]),
    ("J. K. Rowling and the U.S. Army at 5 p.m. Monday", None),
    ("He left the U.S. The end.", ["He left the U.S.", "The end."]),
    ("Take vitamin C. It helps.", ["Take vitamin C.", "It helps."]),
    ("“Stop!” he cried. “Why?” “No.”", ["“Stop!” he cried.", "“Why?”", "“No.”"]),
    ("(Really.) Yes.", ["(Really.)", "Yes."]),
    ("1. First\n2. Second", ["1. First", "2. Second"]),
    ("You are 1. Then me.", ["You are 1.", "Then me."]),
    ("你好！世界。“再见？”好", ["你好！", "世界。", "“再见？”", "好"]),
    ("我用GPT!真好.是吗", ["我用GPT!", "真好.", "是吗"]),
    ("Yahoo! is a. b", ["Yahoo! is a. b"]),
    ("Hi. ) — Yes. —", ["Hi.", ") — Yes. —"]),
    ("Hi. )", ["Hi. )"]),
    ('— Hi.\n\n"\n\nYes.', ['— Hi. "', "Yes."]),
]


@pytest.mark.parametrize(("text", "parts"), SPLITS)
def test_split_at_sentences(text: str, parts: list[str] | None) -> None:
    assert [segment.text for segment in split(text)] == ([text] if parts is None else parts)


@pytest.mark.parametrize(
    ("text", "pauses"),
    [
        ("One. Two", [SENTENCE, 0]),
        ("One\nTwo.\nThree", [LINE, SENTENCE, 0]),
        ("One.\n\nTwo\n \nThree\n\n", [PARAGRAPH, PARAGRAPH, 0]),
        ("a" * 100 + ", " + "b" * 200 + " " + "c" * 100, [CLAUSE, 0, 0]),
        ("a" * 100 + " — " + "b" * 200, [CLAUSE, 0]),
        ("长" * 30 + "，" + "长" * 70, [CLAUSE, 0]),
    ],
)
def test_pauses(text: str, pauses: list[float]) -> None:
    assert [segment.pause for segment in split(text)] == pauses


def test_first_breath_is_short() -> None:
    whole = "a" * 118 + "."
    assert split(whole + " B.")[0].text == whole
    assert weight(split("word " * 40)[0].text) <= 120
    assert [len(s.text) for s in split("a" * 130 + " " + "b" * 50)] == [181]
    assert split("Yes, " + "word " * 25)[0].text != "Yes,"


def test_long_sentences_are_cut() -> None:
    segments = split("word " * 900)
    assert len(segments) > 15
    assert {word for s in segments for word in s.text.split()} == {"word"}
    assert [len(s.text) for s in split("a" * 500)] == [240, 240, 20]
    assert max(len(s.text) for s in split("长" * 500)) == 80


def test_no_crumb_is_left() -> None:
    assert min(len(s.text) for s in split("x. " + "word " * 47 + "to it")[1:]) > 10


@given(
    st.text(alphabet=st.one_of(st.sampled_from(' .\n,!?…。，’"(a-—\u0301你B1'), st.characters())),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_split_loses_nothing(text: str, limit: int, first: int) -> None:
    segments = split(text, limit, first)
    assert "".join("".join(s.text for s in segments).split()) == "".join(text.split())
    assert all(weight(s.text) <= max(limit, 3) for s in segments)
    assert all(s.text.strip() == s.text != "" for s in segments)
    assert not segments or segments[-1].pause == 0


@given(SENTENCES)
def test_first_breath(text: str) -> None:
    assert all(len(segment.text) <= 30 for segment in split(text, 60, 30)[:1])


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[
            (yes, True)
            for yes in ("a", "1", "你", "é", "²", "½", ".", "...", "!?", "。", " … ", "%", "&")
        ],
        *[(yes, True) for yes in ("@", "+", "=", "--a--", "٣", "$")],
        *[(no, False) for no in ("", " ", "🎉", "\u200b", "---", "***", "()", '"', "\u0301", "—.")],
    ],
)
def test_speakable(text: str, expected: bool) -> None:
    assert speakable(text) is expected


@pytest.mark.parametrize(
    ("text", "languages", "foreign"),
    [
        ("Hello, naïve Zoë ß ſ ʃ ª", ("en",), {}),
        ("Приветик, 你好", ("en", "de"), {"Cyrillic": "Приве", "Chinese": "你好"}),
        ("Привет 你好", ("zh",), {"Cyrillic": "Приве"}),
        ("Приве́т", ("ru",), {}),
        ("こんにちはカー世界", ("ja",), {}),
        ("こんカー世", ("en",), {"Hiragana": "こん", "Katakana": "カー", "Chinese": "世"}),
        ("ｶﾅ", ("ja",), {}),
        ("안녕 漢", ("ko",), {}),
        ("안녕", ("zh",), {"Korean": "안녕"}),
        ("مرحبا שלום", ("he",), {"Arabic": "مرحبا"}),
        ("हिन्दी ไทย", ("hi",), {"Thai": "ไทย"}),
        ("2πr, μ, Δx, ℝ, ℵ, µm, Ω", ("en",), {}),
        ("λόγος", ("en",), {"Greek": "λόγος"}),
        ("λόγος", ("el",), {}),
        ("ꦲ", ("en",), {"Javanese": "ꦲ"}),
        ("你好", (), {}),
        ("你好", ("en", "xx"), {}),
        ("你好", ("zh-CN",), {}),
        ("1, ! 🎉 ٣", ("en",), {}),
    ],
)
def test_foreign_letters(text: str, languages: tuple[str, ...], foreign: dict[str, str]) -> None:
    assert foreign_letters(text, languages) == foreign
