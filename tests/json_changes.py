"""Values of JSON with one of their parts changed."""

OTHERS = (None, True, 2, -1, float("nan"), 10**30, "x", [], ["x"], {})


def changes(value, others=OTHERS):
    """The value with each of its parts, at any depth, replaced by each other thing.

    Yields the way to the part, as a text, and the value.
    """
    if isinstance(value, dict | list):
        for place in value if isinstance(value, dict) else range(len(value)):
            for other in others:
                yield f"{place}: {other}", _with(value, place, other)
            for way, part in changes(value[place], others):
                yield f"{place}/{way}", _with(value, place, part)


def _with(value, place, part):
    copy = value.copy()
    copy[place] = part
    return copy
