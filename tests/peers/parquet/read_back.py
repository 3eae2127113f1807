#!/usr/bin/env python3
"""Whether other readers of Parquet find in a file what the CSV file of the same export has: columns, order, every row.

    tests/peers/parquet/read_back.py [--readers polars,duckdb,pyspark] F.parquet F.csv [G.parquet G.csv …]

Prints a line a reader and file; status 1 if any differs or fails. Needs requirements.txt beside it, and Java 17 for PySpark.
"""

import argparse
import csv
import datetime
import decimal
import json
import os
import pathlib
import sys
import time

# What begins a formula in a spreadsheet: a cell of text that would is written with an apostrophe in front.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Most differences that are told of one file.
MOST_TOLD = 5


def read_polars(path: str) -> tuple[list[str], list[tuple]]:
    import polars

    table = polars.read_parquet(path)
    return table.columns, table.rows()


def read_duckdb(path: str) -> tuple[list[str], list[tuple]]:
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    result = connection.execute("SELECT * FROM read_parquet(?)", [path])
    return [column[0] for column in result.description], result.fetchall()


def read_pyspark(path: str) -> tuple[list[str], list[tuple]]:
    table = spark_session().read.parquet(path)
    return table.columns, [tuple(row) for row in table.collect()]


_session = []


def spark_session():
    """One session for all files: it takes some seconds to start. It listens on loopback alone."""
    if not _session:
        # Spark gives Python times in the zone of the process.
        os.environ.update(TZ="UTC", SPARK_LOCAL_IP="127.0.0.1")
        time.tzset()
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[1]").appName("read_back")
        for key, value in {
            "spark.ui.enabled": "false",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": "1g",
            "spark.sql.session.timeZone": "UTC",
            # One partition a file keeps the order of its rows.
            "spark.sql.files.maxPartitionBytes": str(1 << 40),
            "spark.log.level": "OFF",
        }.items():
            builder = builder.config(key, value)
        _session.append(builder.getOrCreate())
    return _session[0]


READERS = {"polars": read_polars, "duckdb": read_duckdb, "pyspark": read_pyspark}


def is_time(cell: str, value: datetime.datetime) -> bool:
    try:
        written = datetime.datetime.fromisoformat(cell)
    except ValueError:
        return False
    in_utc = [one if one.tzinfo else one.replace(tzinfo=datetime.timezone.utc) for one in (written, value)]
    return in_utc[0] == in_utc[1]


def is_number(cell: str, value: float) -> bool:
    try:
        return float(cell) == float(value)
    except ValueError:
        return False


def plain(value):
    """A nested value as JSON has it."""
    if hasattr(value, "asDict"):
        value = value.asDict()
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return float(value) if isinstance(value, decimal.Decimal) else value


def is_same(cell: str, value) -> bool:
    """Whether a cell of the CSV file says what a value of the Parquet file is."""
    if value is None:
        return cell == ""
    if isinstance(value, bool):
        return cell in (("true", "1") if value else ("false", "0"))
    if isinstance(value, int):
        return cell == str(value)
    if isinstance(value, decimal.Decimal):
        # Spark has no unsigned numbers of 64 bits, and takes them for these.
        return cell == str(value)
    if isinstance(value, float):
        return is_number(cell, value)
    if isinstance(value, datetime.datetime):
        return is_time(cell, value)
    if isinstance(value, datetime.date):
        return cell == value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return cell == bytes(value).decode("utf-8", "replace")
    if isinstance(value, str):
        return cell == (f"'{value}" if value.startswith(FORMULA) else value)
    try:
        return json.loads(cell) == plain(value)
    except ValueError:
        return False


def differences(columns: list[str], rows: list[tuple], text: list[list[str]]) -> list[str]:
    """What a reader found other than the CSV file has it."""
    header, wanted = text[0], text[1:]
    if columns != header:
        return [f"columns {columns}, the CSV file has {header}"]
    found = [] if len(rows) == len(wanted) else [f"{len(rows)} rows, the CSV file has {len(wanted)}"]
    for number, (row, cells) in enumerate(zip(rows, wanted), 1):
        for name, value, cell in zip(columns, row, cells, strict=True):
            if not is_same(cell, value):
                found.append(f"row {number}, {name}: {value!r}, the CSV file has {cell!r}")
    return found


def read_csv(path: str) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        text = list(csv.reader(file))
    if not text:
        raise ValueError(f"{path} has no header line")
    return text


def check(parquet: str, csv_file: str, readers: list[str]) -> int:
    """Compares one file by each reader; how many of them found another thing or failed."""
    text, bad = read_csv(csv_file), 0
    for reader in readers:
        try:
            found = differences(*READERS[reader](parquet), text)
        except Exception as error:  # Whatever a reader fails with is its answer.
            found = [f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"]
        name = pathlib.Path(parquet).name
        if not found:
            print(f"{name}: {reader} reads {len(text) - 1} rows of {len(text[0])} columns as the CSV file has them")
            continue
        bad += 1
        for said in found[:MOST_TOLD]:
            print(f"{name}: {reader}: {said}")
        if len(found) > MOST_TOLD:
            print(f"{name}: {reader}: and {len(found) - MOST_TOLD} more")
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", default=",".join(READERS), help="which, separated by commas")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a Parquet file and its CSV file, as often as there are")
    given = parser.parse_args()
    readers = given.readers.split(",")
    if unknown := [reader for reader in readers if reader not in READERS]:
        parser.error(f"no such reader: {', '.join(unknown)}; there are {', '.join(READERS)}")
    if len(given.files) % 2:
        parser.error("a Parquet file without its CSV file")
    pairs = list(zip(given.files[::2], given.files[1::2]))
    bad = sum(check(parquet, csv_file, readers) for parquet, csv_file in pairs)
    print(f"# pass {len(pairs) * len(readers) - bad}\n# fail {bad}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
