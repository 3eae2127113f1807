#!/usr/bin/env python3
"""read_back.py itself: each reader agrees with a CSV file that has the same rows, and finds each difference that is planted."""

import datetime
import io
import pathlib
import sys
import tempfile
import unittest
from contextlib import redirect_stdout

import polars
import read_back

NOW = datetime.datetime(2026, 3, 29, 1, 30, 0, 250_000, tzinfo=datetime.timezone.utc)
TABLE = polars.DataFrame(
    {
        "id": polars.Series([0, 2**63, 2**64 - 1], dtype=polars.UInt64),
        "time": polars.Series([NOW, None, NOW + datetime.timedelta(days=1)], dtype=polars.Datetime("ms", "UTC")),
        "customer": ["48", "=1+1", "a,\"b\""],
        "campaign": ["gold-one-day", None, "-x"],
        "plays": polars.Series([10, 65_535, 0], dtype=polars.UInt16),
        "probability": [0.1, None, 1e-7],
        "eligible": [True, False, None],
        "propensities": [[0.5, 0.5], [], [1.0]],
    }
)
TEXT = '''id,time,customer,campaign,plays,probability,eligible,propensities
0,2026-03-29T01:30:00.250Z,48,gold-one-day,10,0.1,true,"[0.5,0.5]"
9223372036854775808,,'=1+1,,65535,,false,[]
18446744073709551615,2026-03-30T01:30:00.250Z,"a,""b""",'-x,0,1e-7,,[1.0]
'''


class ReadBack(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory(prefix="upbeat-parquet-")
        cls.parquet = pathlib.Path(cls.folder.name) / "rows.parquet"
        TABLE.write_parquet(cls.parquet, compression="zstd", row_group_size=2)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.folder.cleanup()

    def told(self, text: str, readers=None) -> tuple[int, str]:
        file = self.parquet.with_name("rows.csv")
        file.write_text(text, encoding="utf-8", newline="")
        said = io.StringIO()
        with redirect_stdout(said):
            bad = read_back.check(str(self.parquet), str(file), readers or list(read_back.READERS))
        return bad, said.getvalue()

    def test_every_reader_finds_the_rows_of_the_csv_file(self) -> None:
        for ends in ("\n", "\r\n"):
            bad, said = self.told(TEXT.replace("\n", ends))
            self.assertEqual(bad, 0, said)
            self.assertEqual(said.count("reads 3 rows of 8 columns"), len(read_back.READERS), said)

    def test_every_reader_finds_a_planted_difference(self) -> None:
        rows = TEXT.splitlines(keepends=True)
        for planted, part in (
            (TEXT.replace("0.1,true", "0.2,true"), "row 1, probability"),
            (TEXT.replace("0.1,true", "0.1,false"), "row 1, eligible"),
            (TEXT.replace("01:30:00.250Z,48", "01:30:00.251Z,48"), "row 1, time"),
            (TEXT.replace("65535", "65534"), "row 2, plays"),
            (TEXT.replace("551615", "551614"), "row 3, id"),
            (TEXT.replace("'=1+1", "=1+1"), "row 2, customer"),
            (TEXT.replace("'-x", ""), "row 3, campaign"),
            (TEXT.replace("[1.0]", "[0.5]"), "row 3, propensities"),
            ("".join(rows[:-1]), "3 rows, the CSV file has 2"),
            (rows[0] + rows[2] + rows[1] + rows[3], "row 1, id"),
            (TEXT.replace("id,time", "time,id"), "columns"),
        ):
            with self.subTest(part):
                bad, said = self.told(planted)
                self.assertEqual((bad, said.count(part)), (len(read_back.READERS), len(read_back.READERS)), said)

    def test_file_that_is_no_parquet_fails_in_every_reader(self) -> None:
        whole = self.parquet.read_bytes()
        try:
            self.parquet.write_bytes(whole[:-20])
            self.assertEqual(self.told(TEXT)[0], len(read_back.READERS))
        finally:
            self.parquet.write_bytes(whole)


def main() -> int:
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
    bad = len({test.id().split(" ")[0] for test, _ in result.failures + result.errors})
    print(f"# pass {result.testsRun - bad}\n# fail {bad}")
    return int(bad > 0 or result.testsRun == 0)


if __name__ == "__main__":
    sys.exit(main())
