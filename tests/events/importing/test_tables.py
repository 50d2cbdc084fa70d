"""CSV as rows: a broken row costs itself alone, and says why."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import UsageError
from events.importing.tables import Layout, Refusal, Row, Source, Table

PLAIN = Layout()


def table(folder: Path, content: bytes, layout: Layout = PLAIN) -> list[Row | Refusal]:
    path = folder / "rows.csv"
    path.write_bytes(content)
    return list(Table(Source(path), layout))


def cells(rows: list[Row | Refusal]) -> list[list[str]]:
    return [list(row.cells.values()) for row in rows if isinstance(row, Row)]


def refusals(rows: list[Row | Refusal]) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in rows if isinstance(row, Refusal)]


def test_a_row_knows_its_line_and_strips_its_cells(tmp_path: Path) -> None:
    rows = table(tmp_path, b'a,b\n1, two \n\n"3\nand more",4\n5,6\n')

    assert cells(rows) == [["1", "two"], ["3\nand more", "4"], ["5", "6"]]
    assert [row.line for row in rows] == [2, 4, 6]


def test_a_row_with_too_few_or_many_cells_is_refused_alone(tmp_path: Path) -> None:
    rows = table(tmp_path, b"a,b\n1\n2,3\n4,5,6\n")

    assert cells(rows) == [["2", "3"]]
    assert refusals(rows) == [
        (2, "1 cell; the table has 2 columns"),
        (4, "3 cells; the table has 2 columns"),
    ]


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path) -> None:
    rows = table(tmp_path, b'a,b\n1,"two\n3,4\n5,6\n')

    assert refusals(rows) == [(2, "a quote is opened and never closed")]
    assert cells(rows) == [["3", "4"], ["5", "6"]]


def test_a_quote_inside_a_cell_is_a_character(tmp_path: Path) -> None:
    assert cells(table(tmp_path, b'a,b\n5" pipe,6\n')) == [['5" pipe', "6"]]


def test_bytes_that_are_no_text_cost_one_row(tmp_path: Path) -> None:
    rows = table(tmp_path, "a,b\ncafé,1\n".encode() + b"caf\xe9,2\n" + "料,3\n".encode())

    assert cells(rows) == [["café", "1"], ["料", "3"]]
    assert refusals(rows) == [(3, "not text in utf-8")]


def test_another_encoding_and_delimiter_and_no_header(tmp_path: Path) -> None:
    layout = Layout(delimiter=";", encoding="cp1252", columns=("name", "count"))

    assert cells(table(tmp_path, b"caf\xe9;2\r\n", layout)) == [["café", "2"]]


def test_gzipped_files_and_byte_order_marks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress("\ufeffa,b\n1,2\n".encode()))
    source = Source(path)

    assert cells(list(Table(source, PLAIN))) == [["1", "2"]]
    assert source.read == source.size


@pytest.mark.parametrize(("content", "message"), [(b"", "is empty"), (b"a,b,a\n", "names column 'a' twice")])
def test_a_file_without_a_header_is_told_at_once(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table(tmp_path, content)


@given(st.lists(st.binary(max_size=30), max_size=12))
def test_any_bytes_give_rows_or_refusals(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    rows = table(folder, b"a,b\n" + b"\n".join(lines) + b"\nlast,1\n")

    assert rows[-1].line > 1
    assert [row.line for row in rows] == sorted(row.line for row in rows)
