import contextlib
import itertools
import threading
import time

import jax
import numpy as np
import pytest

from afm_jax.data.loader import AHEAD, Loader
from afm_jax.errors import InputError
from afm_jax.features import Rows

N = 1_003


@pytest.fixture(scope="module")
def rows():
    """Rows told apart by their first id, which is their position."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 10_000, (N, 4)).astype(np.int32)
    ids[:, 0] = np.arange(N)
    return Rows(
        ids,
        rng.random((N, 4), np.float32),
        rng.normal(size=(N, 3)).astype(np.float32),
        rng.integers(0, 2, N).astype(np.float32),
    )


def all_batches(loader, epoch):
    return [loader.batch(epoch, step) for step in range(loader.steps_per_epoch)]


def real_positions(batches):
    """Positions of the rows with weight 1, in order."""
    return np.concatenate(
        [batch.features.ids[batch.weights == 1, 0] for batch in batches]
    )


def assert_same(batch, other):
    for array, expected in zip(
        [*batch.features, batch.labels, batch.weights],
        [*other.features, other.labels, other.weights],
        strict=True,
    ):
        np.testing.assert_array_equal(array, expected)


def take(batch, positions):
    return jax.tree.map(lambda column: column[positions], batch)


@pytest.fixture
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.parametrize("batch_size", [1, 7, 64, N - 1, N, N + 1, 3 * N])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_row_occurs_exactly_once_an_epoch(rows, batch_size, shuffle):
    loader = Loader(rows, batch_size, seed=3, shuffle=shuffle)
    for epoch in (0, 1):
        positions = real_positions(all_batches(loader, epoch))
        assert len(positions) == N
        np.testing.assert_array_equal(np.sort(positions), np.arange(N))


@pytest.mark.parametrize("first", [0, 3, 4, 15])
@pytest.mark.parametrize("size", [1, 4, 40])
def test_stacks_are_the_batches_and_end_with_the_last_again(rows, size, first):
    loader = Loader(rows, 64, seed=3)
    batches = all_batches(loader, 2)
    start = first - first % size
    for stack in loader.stacks(2, size, first_step=first):
        assert stack.labels.shape == (size, 64)
        for i in range(size):
            batch = jax.tree.map(lambda array, i=i: array[i], stack)
            assert_same(batch, batches[min(start + i, len(batches) - 1)])
        start += size
    assert start - size < len(batches) <= start


def test_without_shuffle_rows_come_in_the_order_of_the_file(rows):
    loader = Loader(rows, 64, shuffle=False)
    for epoch in (0, 5):
        positions = real_positions(all_batches(loader, epoch))
        np.testing.assert_array_equal(positions, np.arange(N))


@pytest.mark.parametrize("shuffle", [False, True])
def test_order_says_of_which_rows_the_batches_are(rows, shuffle):
    loader = Loader(rows, 96, seed=2, shuffle=shuffle)
    whole = loader.all_rows()
    order = loader.order(4)
    assert order.dtype == np.int64
    for positions, batch in zip(order, all_batches(loader, 4), strict=True):
        assert_same(take(whole, positions)._replace(weights=batch.weights), batch)


def test_columns_of_a_row_stay_together(rows):
    for batch in all_batches(Loader(rows, 100, seed=1), 2):
        positions = batch.features.ids[:, 0]
        np.testing.assert_array_equal(batch.features.ids, rows.ids[positions])
        np.testing.assert_array_equal(batch.features.values, rows.values[positions])
        np.testing.assert_array_equal(batch.features.dense, rows.dense[positions])
        np.testing.assert_array_equal(batch.labels, rows.labels[positions])


def test_arrays_are_contiguous_and_of_32_bits(rows):
    for loader in (Loader(rows, 64), Loader(rows, 64, shuffle=False)):
        batch = loader.batch(0, 15)
        assert batch.features.ids.dtype == np.int32
        assert batch.unique_ids is None
        for array in [*batch.features, batch.labels, batch.weights]:
            assert array.flags.c_contiguous
            assert len(array) == 64
        for array in [*batch.features[1:], batch.labels, batch.weights]:
            assert array.dtype == np.float32


def test_weights_of_rows_are_those_of_the_data_and_of_padding_0(rows):
    weights = np.linspace(0.5, 2, N, dtype=np.float32)
    weighted = Loader(rows._replace(weights=weights), 64, seed=3)
    found = np.zeros(N, np.float32)
    for batch, plain in zip(
        all_batches(weighted, 1), all_batches(Loader(rows, 64, seed=3), 1), strict=True
    ):
        np.testing.assert_array_equal(batch.weights > 0, plain.weights > 0)
        real = batch.weights > 0
        found[batch.features.ids[real, 0]] = batch.weights[real]
    np.testing.assert_array_equal(found, weights)
    np.testing.assert_array_equal(weighted.all_rows().weights, weights)


def test_values_that_are_all_one_stay_none(rows):
    loader = Loader(rows._replace(values=None), 64)
    assert loader.batch(0, 0).features.values is None


def test_orders_of_epochs_and_seeds_differ(rows):
    orders = [
        real_positions(all_batches(Loader(rows, 64, seed=seed), epoch))
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    for i, order in enumerate(orders):
        for other in orders[:i]:
            assert (order == other).sum() < 12
        assert (order == np.arange(N)).sum() < 12


def test_padding_repeats_the_rows_of_its_batch_in_turn(rows):
    loader = Loader(rows, 400, seed=2)
    last = loader.batch(0, 2)
    count = N - 800
    np.testing.assert_array_equal(last.weights, np.arange(400) < count)
    np.testing.assert_array_equal(
        last.features.ids, last.features.ids[np.arange(400) % count]
    )
    assert all(batch.weights.all() for batch in all_batches(loader, 0)[:2])


def test_a_new_loader_continues_where_another_stopped(rows):
    old, new = Loader(rows, 64, seed=9), Loader(rows, 64, seed=9)
    seen = list(old.batches(3))
    assert_same(new.batch(3, 7), seen[7])
    rest = list(new.batches(3, first_step=10))
    assert len(rest) == len(seen) - 10
    for batch, expected in zip(rest, seen[10:], strict=True):
        assert_same(batch, expected)


@pytest.mark.usefixtures("no_thread_is_left")
def test_prefetched_batches_are_those_made_one_by_one(rows):
    loader = Loader(rows, 64, seed=5)
    batches = list(loader.batches(2))
    assert len(batches) == loader.steps_per_epoch
    for step, batch in enumerate(batches):
        assert_same(batch, loader.batch(2, step))


@pytest.mark.usefixtures("no_thread_is_left")
def test_transform_runs_in_the_thread_and_gives_what_is_yielded(rows):
    threads = set()

    def transform(batch):
        threads.add(threading.current_thread())
        return batch.labels.sum()

    loader = Loader(rows, 64, shuffle=False)
    sums = list(loader.batches(0, transform=transform))
    expected = [batch.labels.sum() for batch in all_batches(loader, 0)]
    assert sums == expected
    assert len(threads) == 1
    assert threading.current_thread() not in threads


@pytest.mark.usefixtures("no_thread_is_left")
def test_an_exception_in_the_thread_reaches_the_consumer_after_the_good_batches(rows):
    calls = []

    def transform(batch):
        calls.append(batch)
        if len(calls) == 6:
            raise ArithmeticError("in the thread")
        return batch

    batches = Loader(rows, 64).batches(0, transform=transform)
    assert len(list(itertools.islice(batches, 5))) == 5
    with pytest.raises(ArithmeticError, match="in the thread"):
        next(batches)


@pytest.mark.usefixtures("no_thread_is_left")
@pytest.mark.parametrize("taken", [0, 1, 5])
def test_leaving_early_ends_the_thread(rows, taken):
    made = []
    batches = Loader(rows, 16).batches(0, transform=made.append)
    with contextlib.closing(batches):
        for _ in range(taken):
            next(batches)
    assert len(made) <= taken + AHEAD
    assert list(batches) == []


@pytest.mark.usefixtures("no_thread_is_left")
def test_no_more_than_a_few_batches_are_made_ahead(rows):
    made = []
    batches = Loader(rows, 16).batches(0, transform=made.append)
    with contextlib.closing(batches):
        next(batches)
        deadline = time.monotonic() + 10
        while len(made) < 1 + AHEAD and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)
        assert len(made) == 1 + AHEAD


@pytest.mark.usefixtures("no_thread_is_left")
def test_leaving_by_an_exception_ends_the_thread(rows):
    def leave():
        with contextlib.closing(Loader(rows, 16).batches(0)) as batches:
            raise KeyError(next(batches))

    with pytest.raises(KeyError):
        leave()


@pytest.mark.usefixtures("no_thread_is_left")
def test_an_iterator_that_nobody_starts_has_no_thread(rows):
    batches = Loader(rows, 16).batches(0)
    assert not any(thread.name == "loader" for thread in threading.enumerate())
    del batches


@pytest.mark.parametrize("step", [-1, 16])
def test_a_step_outside_the_epoch_is_refused(rows, step):
    with pytest.raises(IndexError, match="of 16 an epoch"):
        Loader(rows, 64).batch(0, step)


def test_bad_sizes_are_refused(rows):
    with pytest.raises(InputError, match=r"batch_size must be .*, found 0"):
        Loader(rows, 0)
    empty = rows.slice(0, 0)
    with pytest.raises(InputError, match="no rows"):
        Loader(empty, 64)


@pytest.mark.parametrize(
    ("batch_size", "multiple", "expected"),
    [(64, 4, 64), (N, 1, N), (N + 1, 1, N), (1 << 31, 1, N), (1 << 40, 4, 1004)],
)
def test_a_batch_has_no_more_rows_than_there_are(rows, batch_size, multiple, expected):
    loader = Loader(rows, batch_size, multiple=multiple)
    assert loader.batch_size == expected
    assert loader.steps_per_epoch == -(-N // expected)
    assert len(loader.batch(0, 0).labels) == expected
    assert len(real_positions(all_batches(loader, 0))) == N
