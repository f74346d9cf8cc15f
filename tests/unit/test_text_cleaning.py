"""Cleaning of text: markup and special characters are removed, plain text stays."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sentences import SENTENCES
from voxcpm_openai.text import clean

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
    "Visit github.com/openai, mail jane.doe@example.co.uk about config.toml.",
    "$ or €? $$$",
    "C♯, 5 ₽, 3,50 €, 1.000,50 €/kg",
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
    ("$E = mc^2$, $5x$, $f(x)$ and $50\\%$", "E = mc^2, 5x, f(x) and 50%"),
    ("$a + 2b = 5$ or US$5, A$.", "a + 2b = 5 or US$5, A$."),
    (r"a \to b \tau \text{x} \times \rho \nu \neq \ne \nabla \right)", None),
    (r"One\nTwo\n3\tx\r\n\nto be\n", "One\nTwo\n3 x\n\nto be"),
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
    ("a\u200bb\x00c\ue000d", "ab c d"),
    ("a\u00a0b\u2003c\u3000d\te", "a b c d e"),
    ("a\r\nb\rc\u2028d\u2029e", "a\nb\nc\nd\n\ne"),
    ("Ｈｅｌｌｏ！ ＡＢ＋１", "Hello! AB+1"),
    ("𝐇𝐞𝐥𝐥𝐨 ℝ ﬁne Ⓐ ① Ⅷ ㎏ 20 ℃", "Hello R fine A 1 VIII kg 20 °C"),
    ("x⁴ 10¹² x² word¹² 2⅓", "x⁴ 10¹² x² word 2 1/3"),
    ("ｶﾞｷﾞ", "ガギ"),
    ("e\u0301", "é"),
    ("e\u00ad\u0301", "é"),
    ("B♭ − 3", "B♭ - 3"),
    ("a • b", "a, b"),
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
