"""Hostile JSON documents for tests, as text, and what no error message may contain."""

from __future__ import annotations

import json

from hypothesis import strategies as st

PYTHON_WORDS = (
    "set_int_max_str_digits",
    "Exceeds the limit",
    "recursion",
    "codec",
    "Expecting",
    "Unterminated",
    "Extra data",
    "Invalid control character",
    "Invalid \\",
    "Traceback",
    "NoneType",
    "not subscriptable",
    "object is not",
    "unhashable",
    "surrogates not allowed",
    "convert float",
    "too large to convert",
    "<class",
    " b'",
    "chunk size:",
    "Error:",
)
"""Python's, Werkzeug's and gunicorn's own words."""

NUMBERS = [
    *("0", "-0", "1", "-1", "1.5", "1e999", "-1e999", "1e-999", "NaN", "Infinity", "-Infinity"),
    *(f"{10**20}", f"{10**400}", f"-{10**400}", "9" * 4_300, "9" * 5_000, f"-{'9' * 5_000}"),
]
STRINGS = [
    *("", "alloy", "coral", "tts-1", "pcm", "sse", "en", "Hello.", "None", "ipa", "alias"),
    *("\ud800", "x\udfff", "\udc00\ud800", "\0", "a\r\nb: c", "\x1b[2J", "\u202e", "\ufeff"),
    *("\U0001f600", "é" * 300, "x" * 5_000, "../../etc/passwd", "%00", "'", '"', "\\", "{0}", "%s"),
]
FIELDS = (
    "model input voice response_format speed instructions stream_format seed sample_rate cfg_value "
    "inference_steps language lexicon normalize name description rules workspace_access id type "
    "string_to_replace alias phoneme alphabet case_sensitive word_boundaries other"
).split()

keys = st.sampled_from([*FIELDS, "", "\ud800", "\0", "a\r\nb: c", "x" * 300, "é"])
scalars = st.one_of(
    st.sampled_from(["null", "true", "false", *NUMBERS]),
    st.sampled_from(STRINGS).map(json.dumps),
    st.text(max_size=10).map(json.dumps),
    st.integers().map(str),
)


def _object(pairs: list[tuple[str, str]]) -> str:
    """Return an object as text; a key may be there twice."""
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in pairs) + "}"


def nested(depth: int, inner: str = "1", kind: str = "[]") -> str:
    """Return lists, or objects (``{}``), that contain each other."""
    before = "[" if kind == "[]" else '{"voice":'
    return before * depth + inner + kind[1] * depth


def _inside(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(values, max_size=4).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(keys, values), max_size=4).map(_object),
    )


values = st.one_of(
    st.recursive(scalars, _inside, max_leaves=12),
    st.builds(
        nested,
        st.sampled_from([1, 30, 31, 32, 33, 900, 1_100]),
        scalars,
        st.sampled_from(["[]", "{}"]),
    ),
)
objects = st.lists(st.tuples(keys, values), max_size=6).map(_object)
"""Objects with fields of the routes."""
documents = st.one_of(
    values,
    objects,
    st.tuples(values, st.integers(0, 60)).map(lambda drawn: drawn[0][: drawn[1]]),  # cut short
    st.text(max_size=40),
)
"""Any JSON document, and some that are none."""


def change(good: dict[str, object]) -> st.SearchStrategy[str]:
    """Objects that are right but for some of their fields."""
    rest = [(key, json.dumps(value)) for key, value in good.items()]
    wrong = st.lists(
        st.tuples(st.one_of(st.sampled_from(sorted(good)), keys), values), min_size=1, max_size=2
    )

    def merged(pairs: list[tuple[str, str]]) -> str:
        replaced = {key for key, _ in pairs}
        return _object([*(pair for pair in rest if pair[0] not in replaced), *pairs])

    return wrong.map(merged)
