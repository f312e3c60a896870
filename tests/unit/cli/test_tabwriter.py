"""Elastic tab stops as Go's text/tabwriter has them."""

from klab.cli.printers.tabwriter import TabWriter, escape_terminal


def test_a_column_is_as_wide_as_its_widest_cell_and_the_padding() -> None:
    assert TabWriter(padding=2).align("a\tb\nlonger\tc\n") == "a       b\nlonger  c\n"


def test_no_column_is_narrower_than_the_least_width() -> None:
    assert TabWriter(min_width=6, padding=3).align("a\tb\n") == "a     b\n"


def test_the_last_cell_of_a_line_is_not_padded() -> None:
    assert TabWriter(padding=2).align("a\tlong last cell\nb\tc\n") == "a  long last cell\nb  c\n"


def test_a_line_without_a_tab_ends_the_column() -> None:
    assert TabWriter(padding=2).align("very long\t1\nheading\na\t2\n") == "very long  1\nheading\na  2\n"


def test_an_inner_column_ends_where_lines_stop_having_it() -> None:
    assert TabWriter(padding=1).align("a\tbbbb\tc\nd\te\nf\tg\th\n") == "a bbbb c\nd e\nf g h\n"


def test_characters_count_not_bytes() -> None:
    assert TabWriter(padding=2).align("ünï\t1\nabcd\t2\n") == "ünï   1\nabcd  2\n"


def test_widths_of_earlier_texts_stay() -> None:
    writer = TabWriter(min_width=6, padding=3, remember=True)
    assert writer.align("a long name\t1\n") == "a long name   1\n"
    assert writer.align("x\t2\n") == "x             2\n"


def test_escape_sequences_become_visible() -> None:
    assert escape_terminal("a\x1b[31mb\rc") == "a^[[31mb\\rc"
