import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from amortis.numerics import Groups, group_sums

OWNERS = st.integers(1, 6).flatmap(
    lambda count: st.tuples(
        st.just(count), st.lists(st.integers(0, count - 1), min_size=1, max_size=20)
    )
)


@settings(max_examples=60, deadline=None)
@given(OWNERS, st.randoms(use_true_random=False))
def test_a_batch_has_each_groups_entries_and_padding_that_counts_for_nothing(given_, random):
    count, owner = given_
    values = np.random.default_rng(0).normal(size=(len(owner), 2)).astype(np.float32)
    groups = Groups.of(np.asarray(owner), count)
    index = random.sample(range(count), random.randint(1, count))
    members = groups.take(jnp.asarray(index))
    kept = np.asarray(members.there)
    found = [
        (int(g), int(e)) for g, e in zip(members.group[kept], members.entry[kept], strict=True)
    ]
    expected = [(b, i) for b, j in enumerate(index) for i, o in enumerate(owner) if o == j]
    assert sorted(found) == sorted(expected)
    sums = group_sums(jnp.asarray(values)[members.entry], members, len(index))
    naive = [values[[i for i, o in enumerate(owner) if o == j]].sum(axis=0) for j in index]
    np.testing.assert_allclose(sums, np.asarray(naive).reshape(len(index), 2), atol=1e-5)


def test_the_length_of_a_batch_depends_on_its_size_only():
    groups = Groups.of(np.asarray([0, 0, 0, 2, 3, 3]), 4)  # counts 3, 0, 1, 2
    lengths = {
        size: {len(groups.take(jnp.asarray(i)).entry) for i in ([0, 1, 2][:size], [3, 2, 1][:size])}
        for size in (1, 2, 3)
    }
    assert lengths == {1: {3}, 2: {5}, 3: {6}}


def test_padding_that_is_not_a_number_does_not_matter():
    groups = Groups.of(np.asarray([0, 0, 1]), 2)
    members = groups.take(jnp.asarray([1]))
    values = jnp.where(members.there, 2.0, jnp.nan)
    gradient = jax.grad(lambda v: group_sums(v, members, 1).sum())(values)
    assert float(group_sums(values, members, 1)[0]) == 2.0
    np.testing.assert_array_equal(gradient, members.there)


def test_all_entries_are_in_the_order_of_the_data():
    owner = np.asarray([2, 0, 2, 1])
    members = Groups.of(owner, 3).all()
    np.testing.assert_array_equal(members.group, owner)
    np.testing.assert_array_equal(members.entry, np.arange(4))
    assert bool(members.there.all())
