"""`check` gives the verdicts that were derived by hand."""

import dataclasses
import functools
import json
import re

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import tests.structure.corners  # noqa: F401  enters its cases
from amortis import ModelError, check, from_numpyro
from amortis._errors import NoLocalPlateError
from amortis.structure import Evidence, Kind, Verdict, examine
from tests.structure.models import ALL, BY_VALUES, CASES, COUPLED, UNKNOWN, YES, Case

SIZES = (24, 60)


def _each():
    """Every case at every size; in `make test` at the first only, but for the coupled, the fast."""
    for name, case in CASES.items():
        for size in case.sizes or SIZES:
            slow = case.kind is not COUPLED and size == SIZES[1]
            marks = [pytest.mark.slow] if slow else []
            yield pytest.param(name, size, id=f"{name}-{size}", marks=marks)


@functools.cache
def verdict(name: str, size: int) -> Verdict:
    case = CASES[name]
    args, kwargs = case.arguments(size)
    with jax.numpy_dtype_promotion("standard"):
        return check(case.model, *args, local=case.local, **kwargs)


@pytest.fixture
def unproved(monkeypatch):
    """Skips the proof, which changes `evidence` only and takes a third of the time."""
    monkeypatch.setitem(examine.__globals__, "proved_units", lambda *_: 0)


def reads(found: Verdict) -> dict[str, dict[str, object]]:
    """The inputs, in the words of `Case.reads`: what differs from a unit's own entry."""
    own = {"offsets": (0,), "stride": 1, "axis": 0, "index": None, "base": 0}
    every = {i.name: dataclasses.asdict(i) for i in found.inputs}
    return {n: {k: how[k] for k in own if how[k] != own[k]} for n, how in every.items()}


@pytest.mark.usefixtures("unproved")
@pytest.mark.parametrize(("name", "size"), list(_each()))
def test_the_verdict_is_the_one_derived(name, size):
    # One test for all that is said of a verdict, so that xdist computes each of them once.
    case, found = CASES[name], verdict(name, size)
    it_is_no_false_yes(case, found)
    it_is_undecided_only_with_reason(case, found)
    accepted = {case.kind, *case.also} | ({UNKNOWN} if case.doubt else set())
    assert found.kind in accepted, f"{case.why}\n{found}"
    assert case.plate is None or found.local == case.plate
    if found.kind in YES:
        it_reads_what_was_derived(case, found)
    else:
        assert found.edges == () and not found.minibatch
        assert found.inputs == () or found.kind is COUPLED  # what each reads besides the others
    ties_are_described(case, found)
    it_is_short_and_can_be_written_as_json(found)


def it_is_no_false_yes(case: Case, found: Verdict) -> None:
    """The cardinal sin."""
    right = {case.kind, *case.also} & set(YES)
    assert found.kind not in YES or right, f"FALSE YES: {case.why}\n{found}"
    assert (found.answer is True) == (found.kind in YES)


def it_is_undecided_only_with_reason(case: Case, found: Verdict) -> None:
    assert found.kind is not UNKNOWN or case.doubt, f"{case.why}\n{found}"
    assert (found.answer is None) == (found.kind is UNKNOWN)


def it_reads_what_was_derived(case: Case, found: Verdict) -> None:
    assert found.minibatch
    if found.kind is case.kind or case.kind not in YES:
        assert found.edges == tuple(sorted(e % found.size for e in case.edges))
    if case.reads is not None and found.kind is case.kind:
        assert reads(found) == {n: dict(how) for n, how in case.reads.items()}


def ties_are_described(case: Case, found: Verdict) -> None:
    assert bool(found.couplings) == (found.kind is COUPLED)
    for tie in found.couplings:
        here, there = tie.example
        assert here != there and {here, there} <= set(range(found.size))
        assert {tie.site, tie.other} <= set(found.sites)
    if case.ties and found.kind is COUPLED:
        told = {(t.site, t.other): (t.offsets, t.reach) for t in found.couplings}
        assert told == {pair: _offsets_and_reach(how) for pair, how in case.ties.items()}


def _offsets_and_reach(how):
    if how is ALL:
        return (), None
    if isinstance(how, int):
        return (), how
    return how, max(abs(o) for o in how)


def it_is_short_and_can_be_written_as_json(found: Verdict) -> None:
    assert len(str(found).splitlines()) <= 20
    assert max(len(line) for line in str(found).splitlines()) < 400
    again = json.loads(json.dumps(found.to_dict()))
    assert again["kind"] == found.kind.name and again["answer"] == found.answer
    assert again["size"] == found.size and len(again["inputs"]) == len(found.inputs)


@pytest.mark.parametrize("name", BY_VALUES)
def test_structure_that_depends_on_values_is_refused(name):
    x = np.random.default_rng(0).normal(size=24).astype(np.float32)
    with jax.numpy_dtype_promotion("standard"), pytest.raises(ModelError) as caught:
        check(BY_VALUES[name], x)
    assert "\n" not in str(caught.value)
    assert "depends on the values" in str(caught.value)


def test_two_units_are_proved():
    pytest.importorskip("asdex", exc_type=ImportError)
    x = np.array([0.3, -1.2], np.float32)
    with jax.numpy_dtype_promotion("standard"):
        assert check(CASES["two_units"].model, x).evidence is Evidence.PROVED


def test_data_that_nobody_reads_are_mentioned():
    found = verdict("unused", 24)
    assert any("does not use" in reason and "spare" in reason for reason in found.reasons)


def test_one_tied_pair_is_named():
    (tie,) = verdict("one_pair", 60).couplings
    assert set(tie.example) == {3, 17}


def test_the_cases_cover_every_kind():
    assert {case.kind for case in CASES.values()} == set(Kind)
    assert all(case.why for case in CASES.values())
    assert len(CASES) >= 70


def test_another_plate_has_a_verdict_of_its_own():
    (other,) = verdict("two_plates", 24).others
    assert other.local == "others" and other.kind is Kind.POINTWISE
    assert reads(other) == {"y": {}}


@pytest.mark.parametrize(
    ("change", "range_", "hint"),
    [
        (lambda group: group + 1, "1 to 6", "subtract 1"),
        (lambda group: np.where(np.arange(40) == 5, 17, group), "0 to 17", "correct it"),
        (lambda group: np.where(np.arange(40) == 5, -1, group), "-1 to 5", "correct it"),
    ],
)
def test_an_index_out_of_range_is_named(change, range_, hint):
    def model(y, group):
        with numpyro.plate("groups", 6):
            b = numpyro.sample("b", dist.Normal(0.0, 1.0))
        with numpyro.plate("rows", y.shape[0]):
            numpyro.sample("y", dist.Normal(b[group], 1.0), obs=y)

    y = np.random.default_rng(0).normal(size=40).astype(np.float32)
    group = change(np.arange(40) % 6)
    said = rf"group runs from {range_}, but b has units 0 to 5: .* {hint}"
    found = check(model, y, group)
    assert found.kind is UNKNOWN and re.search(said, found.reasons[0])
    with pytest.raises(NoLocalPlateError, match=said):
        from_numpyro(model, y, group)


def test_vectors_of_globals_have_no_verdict_of_their_own():
    def model(x, group):
        b = numpyro.sample("b", dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        with numpyro.plate("groups", 6):
            z = numpyro.sample("z", dist.Normal(b, 1.0).to_event(1))
        with numpyro.plate("rows", x.shape[0]):
            numpyro.sample("x", dist.Normal(z[group].sum(axis=1), 1.0), obs=x)

    x = np.random.default_rng(0).normal(size=40).astype(np.float32)
    found = check(model, x, np.arange(40) % 6)
    assert found.kind is Kind.GROUPED and found.others == ()


def test_a_model_without_latents_says_so():
    def model(x):
        numpyro.sample("x", dist.Normal(0.0, 1.0), obs=x)

    assert check(model, np.zeros(3, np.float32)).reasons == ("the model has no latents",)
