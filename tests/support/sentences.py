"""Strategies: words, and texts of plain sentences."""

from hypothesis import strategies as st

WORDS = st.text(alphabet="abcdefgxyzéñABC", min_size=1, max_size=12)
SENTENCES = st.lists(
    st.builds(
        lambda words, end: " ".join(words) + end,
        st.lists(WORDS, min_size=1),
        st.sampled_from(".!?"),
    )
).map(" ".join)
