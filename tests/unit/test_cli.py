from argparse import Namespace

import pytest

from attribution import cli


def parse(line: str) -> Namespace:
    return cli._parser().parse_args(line.split())


def test_up_has_a_demo_unless_told() -> None:
    assert parse("up").demo
    assert not parse("up --no-demo").demo


def test_what_is_not_given_is_left_to_the_environment() -> None:
    options = parse("up --host ::1 --workers 3")
    assert (options.host, options.port, options.data_dir, options.workers) == ("::1", None, None, "3")


@pytest.mark.parametrize("action", ["replay", "drop"])
def test_dead_letters_are_named_or_all_meant(action: str) -> None:
    assert parse(f"dead-letters {action} 1-0 2-0").ids == ["1-0", "2-0"]
    assert parse(f"dead-letters {action} --all").all
    for nothing_or_both in ("", "--all 1-0"):
        with pytest.raises(SystemExit, match="2"):
            parse(f"dead-letters {action} {nothing_or_both}")


@pytest.mark.parametrize("line", ["", "start", "dead-letters", "serve-worker", "migrate --port 1"])
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(line)


def test_the_command_line_reaches_the_role(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(cli, "_serve", lambda settings, _: seen.append(settings.port))
    monkeypatch.setattr("attribution.logs.configure", lambda level: level)
    assert cli.main(["serve", "--port", "0"]) == 0
    assert seen == [0]
