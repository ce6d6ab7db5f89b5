"""The short form of `make chaos`: every fault once, in a fixed order, over one load."""

from pathlib import Path

from tests.chaos.run import chaos


async def test_no_fault_loses_or_doubles_a_click_or_an_order(tmp_path: Path) -> None:
    verdict = await chaos(tmp_path, seed=1, seconds=0, say=print)
    print(verdict)
    assert verdict.unexplained == []
