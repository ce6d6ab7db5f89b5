"""The roles as commands: argument parsing only."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from . import logs
from .domain.conversions import DEFAULT_SOURCE, PURCHASE
from .domain.imports import IMPORT_KINDS
from .domain.programs import DEFAULT_PROGRAM_KEY
from .errors import AttributionError, SettingsError
from .settings import Settings, load_settings

# ruff: noqa: PLC0415 - a command loads only what its role needs

_OVERRIDES = ("host", "port", "data_dir", "workers")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(**{name: getattr(options, name, None) for name in _OVERRIDES})
        logs.configure(settings.log_level)
        passed = options.command(settings, options)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except AttributionError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if passed is False else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="attribution", description="Click redirects and attribution")
    roles = parser.add_subparsers(required=True, metavar="ROLE")

    role = _add(roles, "up", _up, "everything on this machine, with embedded servers where no URL is set")
    _add_listening(role)
    role.add_argument("--no-demo", dest="demo", action="store_false", help="no demo programme")

    _add_listening(_add(roles, "serve", _serve, "redirect and API"))
    _add(roles, "worker", _worker, "consumer: from the stream to the database, and credits")
    _add(roles, "migrate", _migrate, "bring the database's schema to the newest revision")
    _add_dead_letters(_add(roles, "dead-letters", None, "clicks that could not be stored"))
    _add_explain(_add(roles, "explain", _explain, "why an order's credit is what it is, as a page of text"))
    _add_audit(_add(roles, "audit", _audit, "prove that credits add up; status 1 where they do not"))
    rebuild = _add(roles, "rebuild-rollups", _rebuild_rollups, "sum anew from the rows what stats are read from")
    rebuild.add_argument("--program", metavar="P", help="a programme's key; all where absent")
    _add_model(_add(roles, "model", _model, "credit the channels of a CSV file path;conversions;value;null, as CSV"))
    _add_import(_add(roles, "import", _import, "a CSV into the database; each row is accepted or refused by itself"))
    _add_ledger(roles)

    internal = roles.add_parser("serve-worker")
    internal.add_argument("--fd", type=int, required=True)
    internal.add_argument("--reader-port", type=int)
    internal.set_defaults(command=_serve_worker)
    internal = roles.add_parser("read-stats")
    internal.add_argument("--fd", type=int, required=True)
    internal.set_defaults(command=_read_stats)
    return parser


def _add(roles: Any, name: str, command: Any, description: str) -> argparse.ArgumentParser:
    role: argparse.ArgumentParser = roles.add_parser(name, help=description, description=description)
    role.set_defaults(command=command)
    return role


def _add_listening(role: argparse.ArgumentParser) -> None:
    role.add_argument("--host", metavar="H", help="address to listen on (HOST)")
    role.add_argument("--port", metavar="N", help="TCP port (PORT)")
    role.add_argument("--data-dir", metavar="D", help="keys, journals and embedded servers' files (DATA_DIR)")
    role.add_argument("--workers", metavar="N", help="server processes (WORKERS)")


def _add_dead_letters(role: argparse.ArgumentParser) -> None:
    actions = role.add_subparsers(required=True, metavar="ACTION")
    listing = _add(actions, "list", _list_dead_letters, "show them with their reasons, oldest first")
    listing.add_argument("--limit", type=int, default=100, metavar="N")
    for name, command, description in (
        ("replay", _replay_dead_letters, "store those that can be stored by now"),
        ("drop", _drop_dead_letters, "forget them"),
    ):
        which = _add(actions, name, command, description).add_mutually_exclusive_group(required=True)
        which.add_argument("ids", nargs="*", default=[], metavar="ID")
        which.add_argument("--all", action="store_true")


def _add_explain(role: argparse.ArgumentParser) -> None:
    role.add_argument("order", metavar="ORDER", help="its id, or that of another conversion with --type")
    role.add_argument("--source", default=DEFAULT_SOURCE, metavar="S")
    role.add_argument("--program", default=DEFAULT_PROGRAM_KEY, metavar="P", help="a programme's key")
    role.add_argument("--type", default=PURCHASE, metavar="T", help="of conversion")
    role.add_argument("--model", metavar="M", help="what this model would give")
    role.add_argument("--influencer", type=int, metavar="ID", help="what concerns this one comes first")


def _explain(settings: Settings, options: argparse.Namespace) -> None:
    from .entrypoints.explain import Question, explain

    question = Question(
        options.program, options.source, options.type, options.order, options.model, options.influencer
    )
    asyncio.run(explain(settings, question))


def _add_audit(role: argparse.ArgumentParser) -> None:
    role.add_argument("--program", metavar="P", help="a programme's key; all where absent")
    role.add_argument("--from", dest="start", metavar="T", help="date or RFC 3339 time, of the conversions")
    role.add_argument("--to", dest="end", metavar="T", help="likewise, exclusive")
    role.add_argument("--limit", type=int, default=100, metavar="N", help="offenders shown of each programme")


def _audit(settings: Settings, options: argparse.Namespace) -> bool:
    from .entrypoints.audit import audit

    return asyncio.run(audit(settings, options.program, options.start, options.end, options.limit))


def _rebuild_rollups(settings: Settings, options: argparse.Namespace) -> None:
    from .entrypoints.rollups import rebuild_rollups

    asyncio.run(rebuild_rollups(settings, options.program))


def _add_model(role: argparse.ArgumentParser) -> None:
    role.add_argument("file", metavar="FILE", help="touches joined by ' > '; - is standard input")
    role.add_argument("--model", required=True, metavar="MODEL", help="last_touch, linear, markov, shapley, ...")
    role.add_argument("--order", type=int, default=1, metavar="N", help="of a Markov chain, 1 to 3")
    role.add_argument("--position-weights", metavar="F,M,L", help="of position_based, 0.4,0.2,0.4 where absent")
    role.add_argument("--no-nulls", dest="nulls", action="store_false", help="leave out walks without conversion")
    role.add_argument("--skip-malformed", action="store_true", help="tell of malformed rows and use the others")


def _add_import(role: argparse.ArgumentParser) -> None:
    role.add_argument("kind", metavar="KIND", choices=IMPORT_KINDS, help=", ".join(IMPORT_KINDS))
    role.add_argument("file", metavar="FILE", help="- is standard input")
    role.add_argument("--program", metavar="KEY", default="default", help="a programme's key (default)")
    role.add_argument("--at", metavar="MOMENT", help="of insights: when the figures were read, if no column says it")


def _add_ledger(roles: Any) -> None:
    ledger = _add(roles, "ledger", _ledger, "whether every click of a period arrived, and where the others are")
    ledger.add_argument("--from", dest="start", metavar="T", help="date (UTC) or beginning of a quarter hour")
    ledger.add_argument("--to", dest="end", metavar="T", help="likewise, exclusive")
    ledger.add_argument("--recount", action="store_true", help="count the rows too, which reads all of the period")
    retire = _add(roles, "retire-journal", _retire_journal, "give up a journal whose disk is gone for good")
    retire.add_argument("journal_id", metavar="ID")


def _up(settings: Settings, options: argparse.Namespace) -> None:
    from .entrypoints.up import up

    up(settings, demo=options.demo)


def _serve(settings: Settings, _: argparse.Namespace) -> None:
    from .entrypoints.serve import serve

    serve(settings)


def _serve_worker(settings: Settings, options: argparse.Namespace) -> None:
    from .entrypoints.serve import serve_worker

    serve_worker(settings, options.fd, options.reader_port)


def _read_stats(settings: Settings, options: argparse.Namespace) -> None:
    from .entrypoints.serve import read_stats

    read_stats(settings, options.fd)


def _worker(settings: Settings, _: argparse.Namespace) -> None:
    from .entrypoints.consumer import consume

    consume(settings)


def _migrate(settings: Settings, _: argparse.Namespace) -> None:
    from .entrypoints.migrate import migrate

    migrate(settings)


def _model(_: Settings, options: argparse.Namespace) -> None:
    from .entrypoints.model import model

    model(
        options.model,
        options.file,
        order=options.order,
        nulls=options.nulls,
        position_weights=options.position_weights,
        skip_malformed=options.skip_malformed,
    )


def _import(settings: Settings, options: argparse.Namespace) -> None:
    from .entrypoints.imports import import_file

    asyncio.run(import_file(settings, options.kind, options.file, options.program, options.at))


def _list_dead_letters(settings: Settings, options: argparse.Namespace) -> None:
    from .entrypoints.dead_letters import list_dead_letters

    asyncio.run(list_dead_letters(settings, options.limit))


def _replay_dead_letters(settings: Settings, options: argparse.Namespace) -> None:
    from .entrypoints.dead_letters import replay

    asyncio.run(replay(settings, None if options.all else options.ids))


def _drop_dead_letters(settings: Settings, options: argparse.Namespace) -> None:
    from .entrypoints.dead_letters import drop

    asyncio.run(drop(settings, None if options.all else options.ids))


def _ledger(settings: Settings, options: argparse.Namespace) -> None:
    from .entrypoints.ledger import show_ledger

    asyncio.run(show_ledger(settings, options.start, options.end, recount=options.recount))


def _retire_journal(settings: Settings, options: argparse.Namespace) -> None:
    from .entrypoints.ledger import retire_journal

    asyncio.run(retire_journal(settings, options.journal_id))
