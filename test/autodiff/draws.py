# How elements of inputs are drawn, for the cases of rules and of shapes: where functions have no corner and a value.


def away(draw):
    """Not near 0, where relu and its kin have corners, nor near ±2, where the clamps of the cases have."""
    return draw.choice([-1, 1]) * draw.uniform(0.2, 1.8)


def positive(draw):
    return draw.uniform(0.4, 2)


def probability(draw):
    return draw.uniform(0.1, 0.9)
