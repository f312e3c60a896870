"""The nearest known name for a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, words: Iterable[str]) -> str:
    """Give the one of `words` that was most likely meant by `word`, "" where none is close."""
    import difflib  # noqa: PLC0415  only a fault needs it, and it takes 3 ms

    by_folded = {known.lower(): known for known in words}
    found = difflib.get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else ""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Give `; did you mean "containers"?` for a message about the unknown `word`, "" where no known name is close."""
    found = nearest(word, words)
    return f'; did you mean "{found}"?' if found else ""
