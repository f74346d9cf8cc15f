"""English: written forms become words, for engines that want words.

``to_words`` in ``words`` is the whole of it, and says in which order the rules run.  Each other
module holds the rules of one kind of form, as a table of patterns with texts that show them; a
test runs every text.  ``rule`` says what a rule is, ``numbers`` makes the words of numbers,
``marks`` ends the work.
"""
