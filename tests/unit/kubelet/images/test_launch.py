import pytest

from klab.errors import KlabError
from klab.kubelet.images.launch import Flags, parse_duration


def test_flags_as_go_reads_them() -> None:
    flags = Flags.of(("--port=80", "-text", "hello there", "word", "--tcp", "--", "-x"), frozenset({"tcp"}))
    assert (flags.number("port", 1), flags.text("text"), flags.boolean("tcp"), flags.words) == (80, "hello there", True, ("word", "-x"))
    assert (flags.number("other", 1), flags.boolean("http", default=True)) == (1, True)
    with pytest.raises(KlabError, match='"hello there"'):
        flags.number("text", 0)


@pytest.mark.parametrize(("word", "seconds"), [("0", 0.0), ("300ms", 0.3), ("1m30s", 90.0), ("1.5h", 5400.0), ("2s", 2.0)])
def test_durations(word: str, seconds: float) -> None:
    assert parse_duration(word) == pytest.approx(seconds)


@pytest.mark.parametrize("word", ["", "5", "s", "1x", "one"])
def test_what_is_no_duration(word: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(word)
