"""Mandarin: written forms become Chinese characters, for engines that want words.

``to_words`` in ``words`` is the whole of it, and says in which order the rules run.  Each other
module holds the rules of one kind of form, as a table of patterns with texts that show them; a
test runs every text.  ``characters`` begins the work, ``marks`` ends it, ``numbers`` makes the
characters of numbers.
"""
