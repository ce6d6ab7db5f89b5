"""SQL lives in `sql/*.sql` under `-- name: x` headers; `statements("clicks")["insert"]` is one of them."""

import re
from functools import cache
from importlib.resources import files

_HEADER = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def statements(noun: str) -> dict[str, str]:
    _, *parts = _HEADER.split((files("attribution.adapters") / "sql" / f"{noun}.sql").read_text())
    return {name: sql.strip() for name, sql in zip(parts[::2], parts[1::2], strict=True)}
