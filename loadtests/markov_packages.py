"""One package's Markov model of a file of paths, in a process of its own: `python markov_packages.py PACKAGE FILE`.

Imports nothing of the load tests, so that it runs in the packages' own environment. Writes JSON: how long the model
took on the paths in memory, and its removal effects, not normalised.
"""

import contextlib
import importlib
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COLUMNS = ("path", "conversions", "value", "null")
Effects = dict[str, float]


def _timed(model: Callable[[], Effects]) -> tuple[float, Effects]:
    began = time.perf_counter()
    effects = model()
    return time.perf_counter() - began, effects


def ours(file: str) -> tuple[float, Effects]:
    models = importlib.import_module("attribution.models")
    with Path(file).open() as lines:
        paths, _ = models.read_paths(lines)

    return _timed(lambda: {name: credit.removal_effect for name, credit in models.markov(paths).items()})


def mta(file: str) -> tuple[float, Effects]:
    """Spared what it need not do here: synthetic times, and looking for repeats, of which these paths have none."""
    package = importlib.import_module("mta.mta")
    frame = importlib.import_module("pandas").read_csv(file, sep=";")
    frame = frame.rename(columns={"conversions": "total_conversions", "null": "total_null"})

    def model() -> Effects:
        mta = package.MTA(frame, allow_loops=True, add_timepoints=False)
        return dict(mta.markov(normalize=False).attribution["markov"])

    return _timed(model)


def mam(file: str) -> tuple[float, Effects]:
    """It wants conversions and nulls in rows of their own."""
    package, polars = importlib.import_module("mam"), importlib.import_module("polars")
    table = polars.read_csv(file, separator=";")
    parts = [
        table.filter(polars.col(name) > 0).select(
            polars.col("path"),
            polars.col(name).alias("occurrences"),
            polars.lit(name == "conversions").alias("converts"),
        )
        for name in ("conversions", "null")
    ]
    frame = polars.concat(parts)

    def model() -> Effects:
        made = package.MAM(
            frame, format_type="grouped_journey", channels_colname="path", journey_with_conv_colname="converts"
        )
        return dict(made.run_markov().metadata["removal_effect"]["removal_effect"])

    return _timed(model)


def channel_attribution(file: str) -> tuple[float, Effects]:
    """It simulates; the seed is its default."""
    package = importlib.import_module("ChannelAttribution")
    frame = importlib.import_module("pandas").read_csv(file, sep=";")

    def model() -> Effects:
        answer = package.markov_model(
            frame, "path", "conversions", var_null="null", out_more=True, verbose=False, flg_pro=False
        )
        effects = answer["removal_effects"]
        return dict(zip(effects["channel_name"], effects["removal_effect"], strict=True))

    return _timed(model)


def main() -> None:
    name, file = sys.argv[1:]
    models: dict[str, Callable[[str], tuple[float, Effects]]] = {
        "ours": ours, "mta": mta, "mam": mam, "channel_attribution": channel_attribution,
    }  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        seconds, effects = models[name](file)
    answer: dict[str, Any] = {"seconds": seconds, "effects": {key: float(effect) for key, effect in effects.items()}}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
