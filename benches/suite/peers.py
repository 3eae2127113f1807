"""The job of `upbeat features` as a user of polars or DuckDB would write it.

peers.py polars|duckdb TRACKS CLICKS OUT

A row per customer with plays, by id: label, then the shares of plays in the morning, afternoon, evening and night, on a
phone, and of distinct tracks, with two digits, in libSVM's text. Whole repeats count once.
"""

import sys

AD = "ADV_REDUCED_1DAY"


def polars(tracks, clicks, out):
    import polars as pl

    def read(path, columns):
        return pl.scan_csv(path, has_header=False, new_columns=columns)

    # Times are written one way, so the hour stands at a fixed place.
    hour = pl.col("time").str.slice(11, 2).cast(pl.Int8)
    share = lambda condition: condition.mean()
    plays = read(tracks, ["event", "customer", "track", "time", "mobile", "zip"]).unique(["event", "customer", "time"])
    rows = plays.group_by("customer").agg(
        share((hour >= 5) & (hour < 12)).alias("1"),
        share((hour >= 12) & (hour < 17)).alias("2"),
        share((hour >= 17) & (hour < 22)).alias("3"),
        share((hour < 5) | (hour >= 22)).alias("4"),
        pl.col("mobile").mean().alias("5"),
        (pl.col("track").n_unique() / pl.len()).alias("6"),
    )
    clicked = read(clicks, ["event", "customer", "ad", "time"]).filter(pl.col("ad") == AD).select("customer").unique()
    rows = rows.join(clicked.with_columns(label=pl.lit(1)), on="customer", how="left").sort("customer")
    values = [pl.format(f"{feature}:{{}}", pl.col(feature).map_batches(two_digits, pl.String)) for feature in "123456"]
    lines = rows.select(pl.concat_str([pl.col("label").fill_null(0), *values], separator=" ")).collect()
    lines.write_csv(out, include_header=False, quote_style="never")


def two_digits(column):
    import polars as pl

    return pl.Series([f"{value:.2f}" for value in column.to_list()])


def duckdb(tracks, clicks, out):
    import duckdb as duck

    share = lambda condition: f"printf('%.2f', avg(CASE WHEN {condition} THEN 1 ELSE 0 END))"
    duck.sql(f"""
        COPY (
            SELECT concat_ws(' ',
                CASE WHEN clicked.customer IS NULL THEN '0' ELSE '1' END,
                '1:' || a, '2:' || b, '3:' || c, '4:' || d, '5:' || e, '6:' || f)
            FROM (
                SELECT customer,
                    {share("hour >= 5 AND hour < 12")} a, {share("hour >= 12 AND hour < 17")} b,
                    {share("hour >= 17 AND hour < 22")} c, {share("hour < 5 OR hour >= 22")} d,
                    printf('%.2f', avg(mobile)) e, printf('%.2f', count(DISTINCT track) / count(*)) f
                FROM (
                    SELECT DISTINCT event, customer, time, track, mobile, CAST(substr(time, 12, 2) AS INT) AS hour
                    FROM read_csv('{tracks}', header = false, columns = {{
                        'event': 'BIGINT', 'customer': 'BIGINT', 'track': 'BIGINT', 'time': 'VARCHAR',
                        'mobile': 'INT', 'zip': 'VARCHAR'}})
                )
                GROUP BY customer
            ) plays
            LEFT JOIN (
                SELECT DISTINCT customer FROM read_csv('{clicks}', header = false, columns = {{
                    'event': 'BIGINT', 'customer': 'BIGINT', 'ad': 'VARCHAR', 'time': 'VARCHAR'}})
                WHERE ad = '{AD}'
            ) clicked USING (customer)
            ORDER BY customer
        ) TO '{out}' (HEADER false, QUOTE '', DELIMITER '\t')
    """)


if __name__ == "__main__":
    name, *paths = sys.argv[1:]
    {"polars": polars, "duckdb": duckdb}[name](*paths)
