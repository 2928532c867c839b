"""Labels files: what is read, what counts as missing, and what is refused without showing a value."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facelib.errors import ConfigError
from facelib.reports.label_file import LabelColumns, read_label_file

pytestmark = pytest.mark.unit

COLUMNS = LabelColumns("file", "person", ("gender", "age"))
HEADER = "file,person,gender,age\n"


def read_csv(text: str, columns: LabelColumns = COLUMNS) -> list[dict[str, str | None]]:
    rows: list[dict[str, str | None]] = read_label_file(text.encode(), "labels.csv", columns).to_pylist()
    return rows


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_csv_agrees_with_the_standard_reader() -> None:
    """Random fields with commas, quotes, line ends and spaces; the oracle is the `csv` module."""
    rng = np.random.default_rng(3)
    words = ["a", "Ä", "NA", "null", "x,y", 'say "hi"', "two\nlines", " padded ", "", "  ", "\u3000", "1", "01"]
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(["other", "file", "age", "person", "gender"])
    for i in range(2000):
        writer.writerow([words[rng.integers(13)], f"{i}.jpg", *(words[j] for j in rng.integers(0, 13, 3))])
    rows = csv.DictReader(io.StringIO(sink.getvalue(), newline=""))
    source = {"subject": "person", "gender": "gender", "age": "age"}
    expected = [{"key": r["file"], **{to: r[c].strip() or None for to, c in source.items()}} for r in rows]
    assert read_csv(sink.getvalue()) == expected


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEADER + "a.jpg,P,M,30\n",
        HEADER + "a.jpg,P,M,30",
        HEADER.replace("\n", "\r\n") + "a.jpg,P,M,30\r\n",
        "\n\n" + HEADER + "\na.jpg,P,M,30\n\n",
        "file, person , gender,age\n a.jpg , P,M ,30\n",
    ],
    ids=["byte order mark", "no last line end", "CRLF", "blank lines", "spaces"],
)
def test_csv_dialects(text: str) -> None:
    assert read_csv(text) == [{"key": "a.jpg", "subject": "P", "gender": "M", "age": "30"}]


@pytest.mark.parametrize("text", [HEADER, HEADER.strip()])
def test_header_alone_is_an_empty_table(text: str) -> None:
    table = read_label_file(text.encode(), "labels.csv", COLUMNS)
    assert table.num_rows == 0
    assert table.schema == pa.schema([(n, pa.string()) for n in ("key", "subject", "gender", "age")])


def test_without_subject_the_column_is_null() -> None:
    rows = read_csv(HEADER + "a,P,M,1\nb,Q,F,2\n", LabelColumns("file", None, ("age",)))
    assert rows == [{"key": "a", "subject": None, "age": "1"}, {"key": "b", "subject": None, "age": "2"}]


def test_parquet_types_become_text() -> None:
    data = parquet(
        file=pa.array([1, 2, 3], pa.int64()),
        person=pa.array(["p", " ", None], pa.large_string()),
        gender=pa.array(["M", "M", "F"]).dictionary_encode(),
        age=pa.array([30.0, float("nan"), None]),
    )
    assert read_label_file(data, "LABELS.Parquet", COLUMNS).to_pylist() == [
        {"key": "1", "subject": "p", "gender": "M", "age": "30"},
        {"key": "2", "subject": None, "gender": "M", "age": None},
        {"key": "3", "subject": None, "gender": "F", "age": None},
    ]


def test_parquet_and_csv_of_the_same_labels_agree() -> None:
    text = HEADER + "a,P,M,30\nb,Q,,\nc,P,F,NA\n"
    data = parquet(
        file=["a", "b", "c"], person=["P", "Q", "P"], gender=["M", None, "F"], age=pa.array(["30", "", "NA"])
    )
    assert read_label_file(data, "l.parquet", COLUMNS).to_pylist() == read_csv(text)


def test_identical_duplicates_collapse_to_the_first() -> None:
    rows = read_csv(HEADER + "b,Q,F,2\na,P,M,1\n b ,Q, F,2\nc,R,F,\nc,R,F, \n")
    assert [r["key"] for r in rows] == ["b", "a", "c"]


def test_file_of_many_blocks_keeps_order_and_line_ends_in_fields() -> None:
    """3 MB, so that fields with line ends cross the reader's 1 MB blocks; the last row repeats the first."""
    order = np.random.default_rng(5).permutation(60_000).tolist()
    lines = [f'{i:06d}.jpg,P,M,"first line of the note\nsecond line"\n' for i in order]
    table = read_label_file((HEADER + "".join([*lines, lines[0]])).encode(), "labels.csv", COLUMNS)
    assert table.column("key").to_pylist() == [f"{i:06d}.jpg" for i in order]
    assert set(table.column("age").to_pylist()) == {"first line of the note\nsecond line"}


def test_conflict_in_an_unread_column_does_not_matter() -> None:
    rows = read_csv("file,age,note\na,1,x\na,1,y\n", LabelColumns("file", None, ("age",)))
    assert rows == [{"key": "a", "subject": None, "age": "1"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,gender,age\n", "no column person: its columns are file, gender, age"),
        ("file,person,age\n", "no column gender"),
        ("name,person,gender,age\n", "no column file"),
        ("file,person,gender,age,age\n", "more than one column age"),
        (HEADER + "a,SECRET,M,1\na,SECRET,F,1\nb,Q,F,1\nb,Q,,1\n", "2 values of file with conflicting rows"),
        (HEADER + "a,SECRET,M,1\nb,SECRET,M,1,9\n", "5 fields instead of 4 in row 3"),
        (HEADER + "a,SECRET,M,1\nSECRET,M\n", "2 fields instead of 4 in row 3"),
        (HEADER + "a,SECRET,M,1\n ,SECRET,M,1\n,SECRET,M,1\n", "2 rows without a value in file"),
        ("", "is empty"),
        ("\n\n", "is empty"),
    ],
)
def test_bad_csv_names_the_fault_and_shows_no_value(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"labels\.csv") as caught:
        read_csv(text)
    assert message in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"anything", "labels.xlsx", "neither .csv nor .parquet"),
        (b"anything", "labels", "neither .csv nor .parquet"),
        (b"not parquet", "labels.parquet", "not a readable Parquet file"),
        (b"", "labels.parquet", "not a readable Parquet file"),
        (HEADER.encode() + b"a,M\xfcller,M,1\n", "labels.csv", "save it as UTF-8"),
        (b"f\xfcle,age\n", "labels.csv", "save it as UTF-8"),
        (parquet(file=["a"], person=["p"], gender=["M"]), "labels.parquet", "no column age"),
        (parquet(file=["a"], person=["p"], gender=[[1]], age=[1]), "labels.parquet", "column gender"),
    ],
)
def test_unreadable_files(data: bytes, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        read_label_file(data, name, COLUMNS)
    assert message in str(caught.value)


@pytest.mark.parametrize("attributes", [("age", "age"), ("subject",), ("key",)])
def test_attribute_names_must_not_clash(attributes: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="rename or drop"):
        read_csv(HEADER, LabelColumns("file", "person", attributes))
