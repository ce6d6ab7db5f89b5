import json
import subprocess
import sys

EVENTS = """
import logging, warnings
import structlog
from attribution import logs
from attribution.settings import LogLevel
logs.configure(LogLevel.INFO)
log = structlog.get_logger()
log.debug("hidden")
log.info("ours", number=1, path=__import__("pathlib").Path("/x"))
logging.getLogger("uvicorn.error").info("theirs %s", "too")
logging.getLogger("alembic").debug("hidden")
warnings.warn("careful")
for logger in (log, logging.getLogger("asyncio")):
    try:
        1 / 0
    except ZeroDivisionError:
        logger.exception("failed")
"""


def test_everything_is_one_json_line_on_stderr() -> None:
    result = subprocess.run([sys.executable, "-c", EVENTS], capture_output=True, text=True, check=True)
    assert result.stdout == ""
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert [(event["level"], event.get("logger")) for event in events] == [
        ("info", None),
        ("info", "uvicorn.error"),
        ("warning", "py.warnings"),
        ("error", None),
        ("error", "asyncio"),
    ]
    assert (events[0]["event"], events[0]["number"]) == ("ours", 1)
    assert events[1]["event"] == "theirs too"
    assert all("ZeroDivisionError" in event["exception"] for event in events[3:])
    assert all(event["timestamp"].endswith("Z") for event in events)
