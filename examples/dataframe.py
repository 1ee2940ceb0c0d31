"""A DataFrame in, probabilities out: python -m examples.dataframe

The frame here is made up: a user likes some kinds of items more than others. Yours may be
of polars, pandas or pyarrow.
"""

import numpy as np
import optax
import polars as pl

import afm_jax


def make_frame(rows: int, seed: int) -> pl.DataFrame:
    """Rows of who saw what, and whether they clicked."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 200, rows), rng.integers(0, 50, rows)
    taste = 2 * np.sin(user * 1.7) * np.cos(item * 0.9) - 1
    return pl.DataFrame(
        {
            "click": rng.random(rows) < 1 / (1 + np.exp(-taste)),
            "user": user,
            "item": [f"item {number}" for number in item],
            "price": np.round(rng.lognormal(2, 1, rows), 2),
            "tags": ["|".join("abc"[: number % 4]) for number in item],
        }
    )


def main() -> None:
    store = afm_jax.data.prepare_frames(
        {"train": make_frame(20_000, 0), "validation": make_frame(4_000, 1)},
        label="click",
        categorical=["user", "item"],
        numeric=["price"],
        multi_valued={"tags": "|"},
    )
    model = afm_jax.models.make("fm", schema=store.schema, embedding_dim=8)
    run = afm_jax.fit(
        afm_jax.Task(model, optimizer=optax.adam(0.01)), store, epochs=5, patience=2
    )
    print(f"Validation AUC: {run.metrics['validation']['auc']:.4f}")
    new = make_frame(5, 2).drop("click")
    print(new.with_columns(probability=run.predict(new)))


if __name__ == "__main__":
    main()
