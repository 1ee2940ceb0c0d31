"""Writes clicks.csv, to try the programs on, and new.csv, rows of the next day.

    python -m docs.clicks

clicks.csv has made-up clicks of 200 users on 50 items. Whether a user clicks depends on the
pair of user and item, and on the price. new.csv has no clicks, and 20 more users.
"""

import csv
import math
import pathlib
import random

ROWS, USERS, ITEMS = 20_000, 200, 50
NEW_ROWS, NEW_USERS = 1_000, 20
PATH, NEW_PATH = pathlib.Path("clicks.csv"), pathlib.Path("new.csv")
COLUMNS = ("user", "item", "hour", "price")


def main() -> None:
    """Writes the files into the current folder; the same rows each time."""
    rng = random.Random(0)
    tastes = [[rng.gauss(0, 1) for _ in range(3)] for _ in range(USERS + ITEMS)]
    with PATH.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["click", *COLUMNS])
        for _ in range(ROWS):
            user, item = rng.randrange(USERS), rng.randrange(ITEMS)
            price = round(rng.uniform(1, 20), 2)
            pairs = zip(tastes[user], tastes[USERS + item], strict=True)
            logit = sum(a * b for a, b in pairs) - 0.1 * price
            click = int(rng.random() < 1 / (1 + math.exp(-logit)))
            hour = rng.randrange(24)
            writer.writerow([click, f"user{user}", f"item{item}", hour, price])
    with NEW_PATH.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for _ in range(NEW_ROWS):
            user, item = rng.randrange(USERS + NEW_USERS), rng.randrange(ITEMS)
            price, hour = round(rng.uniform(1, 20), 2), rng.randrange(24)
            writer.writerow([f"user{user}", f"item{item}", hour, price])


if __name__ == "__main__":
    main()
