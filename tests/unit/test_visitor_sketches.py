from itertools import permutations

from attribution.adapters.visitor_sketches import _with, estimate


def test_an_estimate_does_not_depend_on_the_order_of_its_sketches() -> None:
    sizes = (100, 200, 300, 400)
    sketches = [_with(None, (f"{size}-{number}" for number in range(size)))[0] for size in sizes]

    [united] = {estimate(order, ()) for order in permutations(sketches)}

    assert abs(united / sum(sizes) - 1) < 0.05
