"""How work that takes long tells how far it is, whoever shows it."""

from typing import Protocol


class Advance(Protocol):
    """Is told of each part of a piece of work when it is done.

    One piece of work follows the other, and the calls come from one thread at a time.
    """

    def __call__(self, what: str, amount: float, total: float, unit: str) -> None:
        """Takes note of a part.

        Args:
            what: the work in a word, such as 'read'.
            amount: how much this part is, in units.
            total: how much all parts together are, in units.
            unit: such as 'rows' or 'MB'.
        """


def silent(what: str, amount: float, total: float, unit: str) -> None:
    """An `Advance` that shows nothing."""
