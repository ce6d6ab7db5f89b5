"""The page of results is built up scenario by scenario."""

from loadtests.report import recorded

_ORDER = ("first", "second", "third")
_PAGE = "# Results\n\nSome words.\n\n## third\n\nold third\n"


def test_a_section_is_put_in_its_place() -> None:
    assert recorded(_PAGE, "first", "## first\n\nnew\n", _ORDER) == (
        "# Results\n\nSome words.\n\n## first\n\nnew\n\n## third\n\nold third\n"
    )


def test_only_the_section_of_the_scenario_that_ran_is_replaced() -> None:
    page = recorded(_PAGE, "second", "## second\n\nold\n", _ORDER)
    assert recorded(page, "second", "## second\n\nnew\n", _ORDER) == page.replace("old\n\n##", "new\n\n##")


def test_a_scenario_that_is_no_more_leaves_the_page() -> None:
    assert "third" not in recorded(_PAGE, "first", "## first\n", _ORDER[:2])
