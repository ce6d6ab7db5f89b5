"""What the README lists is all there is."""

import re
from pathlib import Path

from attribution.api.stats import StatsAnswer
from attribution.cli import _parser

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_all_fields_of_an_answer_of_stats_are_listed_and_stand_in_the_tour() -> None:
    fields = [field.alias or name for name, field in StatsAnswer.model_fields.items()]
    [listed] = re.findall(r"^The answer has (.*)\.$", README, re.MULTILINE)
    assert re.findall(r"`(\w+)`", listed) == fields
    [shown] = re.findall(r'^\{"from":.*$', README, re.MULTILINE)
    places = [shown.find(f'"{name}":') for name in fields]
    assert -1 not in places


def test_all_commands_stand_in_the_table() -> None:
    roles = re.findall(r"^    ([a-z][a-z-]+)(?: |$)", _parser().format_help(), re.MULTILINE)
    assert {"up", "import", "model"} < set(roles)
    assert set(re.findall(r"^\| `attribution ([\w-]+)", README, re.MULTILINE)) == set(roles)
