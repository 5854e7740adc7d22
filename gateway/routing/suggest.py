"""Guesses what somebody meant to write."""

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Give the most similar known word, or a dash where none is near."""
    candidates = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), candidates, n=1, cutoff=0.6)
    return candidates[found[0]] if found else "-"
