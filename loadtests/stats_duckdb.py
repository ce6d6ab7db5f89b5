"""DuckDB's answers, in an environment of its own: `python stats_duckdb.py load|ask DIRECTORY TABLE...`.

`load` makes Parquet of the CSV. `ask` reads a JSON list of statements from standard input, and writes one to standard
output: the milliseconds of each time of asking them all.
"""

import importlib
import json
import sys
import time
from typing import Any

_TIMES = 3
_PATIENCE_S = 4


def _load(database: Any, directory: str, tables: list[str]) -> None:
    for table in tables:
        rows = f"SELECT * FROM read_csv('{directory}/{table}.csv', header = true, sample_size = -1) ORDER BY moment"
        database.execute(f"COPY ({rows}) TO '{directory}/{table}.parquet' (FORMAT parquet)")


def _ask(database: Any, directory: str, tables: list[str], statements: list[str]) -> list[float]:
    for table in tables:
        database.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{directory}/{table}.parquet')")
    took = [_timed(database, statements)]
    while len(took) <= _TIMES and sum(took) < _PATIENCE_S * 1e3:
        took.append(_timed(database, statements))
    return took[1:] or took


def _timed(database: Any, statements: list[str]) -> float:
    began = time.perf_counter()
    for statement in statements:
        database.execute(statement).fetchall()
    return (time.perf_counter() - began) * 1e3


def main() -> None:
    command, directory, *tables = sys.argv[1:]
    database = importlib.import_module("duckdb").connect()
    if command == "load":
        _load(database, directory, tables)
    else:
        print(json.dumps(_ask(database, directory, tables, json.load(sys.stdin))))


if __name__ == "__main__":
    main()
