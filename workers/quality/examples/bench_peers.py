#!/usr/bin/env python3
"""The sixteen checks of bench_quality on a Parquet file, as other tools do them: bench_peers.py FILE.

Makes a virtual environment beside this build's figures and installs the tools there; Sluice depends on none. Each runs in
a process of its own; seconds and the largest resident set are printed. The tools that check count what their own words
allow, so a figure is of the nearest they have.
"""

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

PACKAGES = ["duckdb", "polars", "pandas", "pyarrow", "great_expectations", "pointblank"]
HOME = Path(__file__).resolve().parents[3] / "target" / "bench" / "peers"


def duckdb(file):
    import duckdb

    return duckdb.sql(f"""select count(*), count(*) filter (where id is null), count(distinct id),
        count(*) filter (where customer is null), count(*) filter (where not quantity between 1 and 20),
        count(*) filter (where not price > 0), count(*) filter (where quantity * price <> total),
        count(*) filter (where status not in ('paid', 'sent', 'back')), count(*) filter (where length(country) <> 2),
        count(*) filter (where not regexp_matches(code, '^[A-Z]{{2}}-\\d+$')),
        count(*) filter (where not day between '2020-01-01' and '2030-01-01'), count(*) filter (where not total >= price),
        avg(price), sum(quantity), max(at) from read_parquet('{file}')""").fetchall()


def polars(file, engine="auto"):
    import datetime

    import polars as pl

    c, bad = pl.col, lambda mask: (~mask).sum()
    day = lambda year: datetime.date(year, 1, 1)
    asked = [pl.len(), c("id").null_count(), c("id").n_unique(), c("customer").null_count(),
             bad(c("quantity").is_between(1, 20)), bad(c("price") > 0),
             bad(c("quantity").cast(pl.Decimal(38, 2)) * c("price") == c("total")),
             bad(c("status").is_in(["paid", "sent", "back"])), bad(c("country").str.len_chars() == 2),
             bad(c("code").str.contains(r"^[A-Z]{2}-\d+$")), bad(c("day").is_between(day(2020), day(2030))),
             bad(c("total") >= c("price")), c("price").mean(), c("quantity").sum(), c("at").max()]
    named = [value.alias(f"v{place}") for place, value in enumerate(asked)]
    return pl.scan_parquet(file).select(named).collect(engine=engine)


def polars_streaming(file):
    return polars(file, "streaming")


def great_expectations(file):
    import great_expectations as gx
    import pandas as pd

    e = gx.expectations
    frame = pd.read_parquet(file)
    frame["price"], frame["total"] = frame["price"].astype(float), frame["total"].astype(float)
    context = gx.get_context(mode="ephemeral")
    batch = (context.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
             .get_batch({"dataframe": frame}))
    suite = gx.ExpectationSuite(name="bench", expectations=[
        e.ExpectTableColumnsToMatchSet(column_set=list(frame.columns)), e.ExpectColumnValuesToNotBeNull(column="id"),
        e.ExpectColumnValuesToBeUnique(column="id"), e.ExpectColumnValuesToNotBeNull(column="customer", mostly=0.9),
        e.ExpectColumnValuesToBeBetween(column="quantity", min_value=1, max_value=20),
        e.ExpectColumnValuesToBeBetween(column="price", min_value=0, strict_min=True),
        e.ExpectColumnValuesToBeInSet(column="status", value_set=["paid", "sent", "back"]),
        e.ExpectColumnValueLengthsToEqual(column="country", value=2),
        e.ExpectColumnValuesToMatchRegex(column="code", regex=r"^[A-Z]{2}-\d+$"),
        e.ExpectColumnPairValuesAToBeGreaterThanB(column_A="total", column_B="price", or_equal=True),
        e.ExpectColumnMeanToBeBetween(column="price", min_value=1, max_value=1000),
        e.ExpectColumnSumToBeBetween(column="quantity", min_value=1),
        e.ExpectTableRowCountToBeBetween(min_value=1)])
    result = batch.validate(suite)
    assert result.success, result
    return result


def pointblank(file):
    import pointblank as pb
    import polars as pl

    frame = pl.read_parquet(file)
    checked = (pb.Validate(frame).col_vals_not_null("id").rows_distinct("id").col_vals_between("quantity", 1, 20)
               .col_vals_gt("price", 0).col_vals_in_set("status", ["paid", "sent", "back"])
               .col_vals_regex("code", r"^[A-Z]{2}-\d+$").col_vals_ge("total", pb.col("price"))
               .col_vals_expr(pl.col("quantity").cast(pl.Decimal(38, 2)) * pl.col("price") == pl.col("total")).interrogate())
    assert checked.all_passed()
    return checked


PEERS = [duckdb, polars, polars_streaming, pointblank, great_expectations]


def child(name, file):
    peer = globals()[name]
    took = []
    for _ in range(1 if name == "great_expectations" else 3):
        began = time.perf_counter()
        peer(file)
        took.append(time.perf_counter() - began)
    # `ru_maxrss` of this process would begin with that of the one that started it.
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(f"{name:<20} {min(took):8.2f} s {int(peak.split()[1]) / 1024:8.0f} MiB", flush=True)


def main():
    file = os.path.abspath(sys.argv[1])
    python = HOME / "bin" / "python"
    if not python.exists():
        venv.create(HOME, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    for peer in PEERS:
        ran = subprocess.run([python, __file__, "--child", peer.__name__, file], check=False)
        if ran.returncode:
            print(f"{peer.__name__:<20} failed with {ran.returncode}")


if __name__ == "__main__":
    child(*sys.argv[2:]) if sys.argv[1] == "--child" else main()
