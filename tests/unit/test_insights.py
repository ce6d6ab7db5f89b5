from attribution.domain.insights import Total, growth, series

SEEN = [Total(10, 100), Total(20, 150), Total(30, 140)]


def test_growth_is_from_the_last_before_the_start_to_the_last_before_the_end() -> None:
    assert growth(SEEN, 15, 25) == 50
    assert growth(SEEN, 20, 30) == 50, "a total belongs to the period that its moment is in"
    assert growth(SEEN, 11, 20) == 0


def test_a_post_first_seen_in_the_period_starts_from_nothing() -> None:
    assert growth(SEEN, 0, 15) == 100
    assert growth([], 0, 15) == 0


def test_what_a_platform_takes_back_is_negative_growth() -> None:
    assert growth(SEEN, 25, 35) == -10


def test_of_two_totals_for_one_moment_the_later_message_counts() -> None:
    assert growth([*SEEN, Total(20, 160)], 0, 25) == 160
    assert growth([Total(20, 160), *SEEN], 0, 25) == 150


def test_a_late_total_moves_growth_between_periods_and_adds_none() -> None:
    late = [*SEEN, Total(5, 30)]
    assert series(SEEN, [0, 6, 15, 40]) == [0, 100, 40]
    assert series(late, [0, 6, 15, 40]) == [30, 70, 40]
