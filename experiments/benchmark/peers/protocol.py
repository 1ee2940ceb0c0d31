"""A worker's side: it does its works on command, and else waits on a read.

When it is ready it writes `ready`. A line `<work> <count>` on stdin asks for that many
repetitions, and is answered by `done`. It ends with its stdin. Needs Python alone.
"""

import os
import sys
from collections.abc import Callable, Mapping

READY, DONE = "ready", "done"


def serve(make: Callable[[], Mapping[str, Callable[[int], None]]]) -> None:
    """Makes the works, then does them as told; what they print goes to stderr.

    Args:
        make: gives each work under its name; it is called with the count, and returns
            when all of it is done.
    """
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)
        works = make()
        print(READY, file=answers)
        for line in sys.stdin:
            name, count = line.split()
            works[name](int(count))
            print(DONE, file=answers)
