"""Whether a server that failed may be asked again."""

from attribution.adapters.circuit_breaker import CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _broken(times: int = 1) -> tuple[Clock, CircuitBreaker]:
    clock = Clock()
    breaker = CircuitBreaker(first_pause_s=1, longest_pause_s=5, clock=clock)
    for _ in range(times):
        breaker.failed()
    return clock, breaker


def test_all_may_ask_a_server_that_answers() -> None:
    _, breaker = _broken()
    breaker.succeeded()
    assert all(breaker.allows() for _ in range(10))


def test_after_a_failure_nobody_asks_for_a_pause_and_then_one_for_all() -> None:
    clock, breaker = _broken()
    assert not breaker.allows()
    clock.now += 1
    assert [breaker.allows() for _ in range(3)] == [True, False, False]


def test_one_who_never_tells_what_came_of_it_does_not_shut_it_for_ever() -> None:
    clock, breaker = _broken()
    clock.now += 1
    assert breaker.allows()
    clock.now += 1
    assert breaker.allows()


def test_the_pause_doubles_up_to_the_longest_and_begins_anew_after_a_success() -> None:
    clock, breaker = _broken(times=4)
    clock.now += 4.9
    assert not breaker.allows()
    clock.now += 0.1
    assert breaker.allows()
    breaker.succeeded()
    breaker.failed()
    clock.now += 1
    assert breaker.allows()


def test_a_failure_may_ask_for_a_longer_pause() -> None:
    clock, breaker = _broken()
    breaker.failed(at_least_s=9)
    clock.now += 8.9
    assert not breaker.allows()
    clock.now += 0.1
    assert breaker.allows()
