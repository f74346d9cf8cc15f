"""Files of rules: TOML and PLS, and the error of each wrong entry."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxcpm_openai.text.lexicon import LexiconError, LexiconRule
from voxcpm_openai.text.lexicon_files import read_file, rules_of_list, rules_of_table

TOML = """
[alias]
"Nguyen" = "win"
"C++" = "see plus plus"

[ipa]
"Nguyen" = "wɪn"
tomato = "təˈmɑːtəʊ"

[[rules]]
text = "US"
alias = "United States"
case_sensitive = true

[[rules]]
text = "gif"
ipa = "dʒɪf"
word_boundaries = false
"""
PLS = """<?xml version="1.0" encoding="UTF-8"?>
<lexicon version="1.0" alphabet="ipa" xml:lang="en"
    xmlns="http://www.w3.org/2005/01/pronunciation-lexicon">
  <meta name="author" content="x"/>
  <metadata><grapheme xmlns="">ignored</grapheme></metadata>
  <lexeme>
    <grapheme>Nguyen</grapheme>
    <grapheme>Nguyễn
    </grapheme>
    <phoneme>ŋwiən</phoneme>
    <phoneme prefer="true">wɪn</phoneme>
    <example>Ask Nguyen.</example>
  </lexeme>
  <lexeme role="noun">
    <grapheme>W3C</grapheme><alias>World &amp; Wide</alias><alias>other</alias>
  </lexeme>
</lexicon>
"""


def read(folder: Path, name: str, content: str | bytes) -> list[LexiconRule]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_file(path)


def test_a_toml_file(tmp_path: Path) -> None:
    assert read(tmp_path, "lexicon.toml", TOML) == [
        LexiconRule("Nguyen", alias="win", ipa="wɪn"),
        LexiconRule("C++", alias="see plus plus"),
        LexiconRule("tomato", ipa="təˈmɑːtəʊ"),
        LexiconRule("US", alias="United States", case_sensitive=True),
        LexiconRule("gif", ipa="dʒɪf", word_boundaries=False),
    ]
    assert read(tmp_path, "empty.TOML", "") == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[alias]\nx = ", "it is not TOML: Invalid value"),
        (b"\xff", "it is not TOML"),
        ('[aliases]\nx = "y"', r"'aliases' is none of \[alias\], \[ipa\]"),
        ('alias = "x"', r"'alias' must be a table: \[alias\]"),
        ('[alias]\nx = ""', r"\[alias\] 'x': 'alias' must have 1 to 200 characters"),
        ("[alias]\nx = 7", r"\[alias\] 'x': 'alias' must be a string"),
        ('[alias]\n" " = "x"', r"\[alias\] ' ': 'text' must have 1 to 200"),
        ('[ipa]\nx = "W IH1 N"', r"\[ipa\] 'x': 'ipa' must be a pronunciation in IPA"),
        ('rules = ["x"]', r"'rules' must be an array of tables"),
        ('[rules]\ntext = "x"', r"'rules' must be an array of tables"),
        ('[[rules]]\nalias = "x"', r"\[\[rules\]\] number 1: 'text' must be a string"),
        (
            '[[rules]]\ntext = "a"\nalias = "b"\n[[rules]]\ntext = "x"',
            r"\[\[rules\]\] number 2: 'alias' or 'ipa' is required",
        ),
        (
            '[[rules]]\ntext = "x"\nalais = "y"',
            r"\[\[rules\]\] number 1: there is no field 'alais', but alias, ipa",
        ),
    ],
)
def test_a_wrong_toml_file_is_refused_with_the_entry(
    tmp_path: Path, content: str | bytes, problem: str
) -> None:
    with pytest.raises(LexiconError, match=problem):
        read(tmp_path, "lexicon.toml", content)


@pytest.mark.parametrize("name", ["lexicon.pls", "lexicon.XML"])
def test_a_pls_file(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, name, PLS) == [
        LexiconRule("Nguyen", ipa="wɪn"),
        LexiconRule("Nguyễn", ipa="wɪn"),
        LexiconRule("W3C", alias="World & Wide"),
    ]


def test_a_pls_file_in_another_encoding(tmp_path: Path) -> None:
    content = PLS.replace("UTF-8", "UTF-16").encode("utf-16")
    assert read(tmp_path, "lexicon.pls", content) == read(tmp_path, "other.pls", PLS)


def test_a_pls_file_without_a_namespace_and_an_alphabet_of_a_phoneme(tmp_path: Path) -> None:
    lexeme = '<lexeme><grapheme>a</grapheme><phoneme alphabet="ipa">eɪ</phoneme></lexeme>'
    found = read(tmp_path, "a.pls", f"<lexicon>{lexeme}</lexicon>")
    assert found == [LexiconRule("a", ipa="eɪ")]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("</lexicon>", "", r"line \d+: not valid XML: no element found"),
        ("</lexeme>", "</lexem>", r"line 13: not valid XML: mismatched tag"),
        ('alphabet="ipa"', 'alphabet="x-sampa"', "line 10: <phoneme> has the alphabet 'x-sampa'"),
        ('alphabet="ipa"', "", "line 10: <phoneme> has no alphabet; it must be 'ipa'"),
        ("<phoneme>", '<phoneme alphabet="cmu">', "line 10: <phoneme> has the alphabet 'cmu'"),
        ("<grapheme>W3C</grapheme>", "", "line 14: <lexeme> has no <grapheme>"),
        ("<alias>other</alias>", "<alias></alias>", None),
        ("World &amp; Wide", "", "line 14: <lexeme>: <alias> must have 1 to 200 characters"),
        (">W3C<", "> <", "line 14: <lexeme>: <grapheme> must have 1 to 200 characters"),
        ('prefer="true">wɪn', 'prefer="true">W IH1 N', "line 6: <lexeme>: <phoneme> must be"),
        ("?>\n", "?>\n<!DOCTYPE lexicon>\n", "line 2: a DOCTYPE is not allowed"),
        ("&amp;", "&unknown;", "line 15: not valid XML: undefined entity"),
        ("UTF-8", "no-such-code", "line 1: not valid XML: unknown encoding"),
        ("lexicon", "html", "line 2: a PLS file begins with <lexicon>, not <html>"),
    ],
)
def test_a_wrong_pls_file_is_refused_with_the_line(
    tmp_path: Path, old: str, new: str, problem: str | None
) -> None:
    content = PLS.replace(old, new)
    assert content != PLS
    if problem is None:
        assert read(tmp_path, "lexicon.pls", content)
        return
    with pytest.raises(LexiconError, match=problem):
        read(tmp_path, "lexicon.pls", content)


def test_entities_neither_grow_nor_name_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    for declared in ('SYSTEM "secret"', '"lol"'):
        doctype = f"<!DOCTYPE lexicon [<!ENTITY e {declared}>]>"
        content = f"{doctype}<lexicon><lexeme><grapheme>&e;</grapheme></lexeme></lexicon>"
        with pytest.raises(LexiconError, match="a DOCTYPE is not allowed"):
            read(tmp_path, "lexicon.pls", content)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LexiconError, match=r"must be a .toml, .pls or .xml file"):
        read(tmp_path, "lexicon.json", "{}")
    with pytest.raises(LexiconError, match="cannot be read: No such file"):
        read_file(tmp_path / "lexicon.toml")


def test_a_table() -> None:
    table = {"Nguyen": "win", "gif": {"ipa": "dʒɪf", "case_sensitive": True}}
    assert rules_of_table(table) == [
        LexiconRule("Nguyen", alias="win"),
        LexiconRule("gif", ipa="dʒɪf", case_sensitive=True),
    ]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (["x"], "must be an object"),
        ({"x": 7}, "'x': must be other words, or a table"),
        ({"x": None}, "'x': must be other words, or a table"),
        ({"x": ""}, "'x': 'alias' must have 1 to 200 characters"),
        ({"x": {}}, "'x': 'alias' or 'ipa' is required"),
        ({"x": {"arpabet": "y"}}, "'x': there is no field 'arpabet'"),
        ({"x": {"text": "y", "alias": "y"}}, "'x': there is no field 'text'"),
        ({"x": {"ipa": "X1"}}, "'x': 'ipa' must be"),
        ({f"x{n}": "y" for n in range(1001)}, "at most 1000 rules, not 1001"),
    ],
)
def test_a_wrong_table_is_refused(table: object, problem: str) -> None:
    with pytest.raises(LexiconError, match=problem):
        rules_of_table(table)


def test_a_list_has_elevenlabs_defaults() -> None:
    alias = {"type": "alias", "string_to_replace": "Nguyen", "alias": "win"}
    phoneme = {"type": "phoneme", "string_to_replace": "a", "phoneme": "eɪ", "alphabet": "ipa"}
    loose = {"case_sensitive": False, "word_boundaries": False}
    assert rules_of_list([alias, phoneme, {**alias, **loose}]) == [
        LexiconRule("Nguyen", alias="win", case_sensitive=True),
        LexiconRule("a", ipa="eɪ", case_sensitive=True),
        LexiconRule("Nguyen", alias="win", word_boundaries=False),
    ]
