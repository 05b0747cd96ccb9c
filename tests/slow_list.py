"""tests/slow.txt: the tests that take more than a few seconds, by measurement.

pytest tests -m "slow or not slow" -n 2 --dist loadfile --junitxml RUN.xml
python -m tests.slow_list RUN.xml

`make slow-list` does both. Most of a test's time is spent compiling: which tests are slow is seen
when they run, and hardly when they are written. Every test function is to run in `make test`, in
the case that is done first, unless that alone takes longer than `ALONE`; further cases are slow
beyond `FURTHER`; and of every file one test runs. Tests that the run did not have stay as they were
listed.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

LISTED = Path(__file__).with_name("slow.txt")

FURTHER, ALONE = 1.5, 5.0
"""Seconds of a test, with what it sets up, on a machine whose two cores are both at work."""

KEPT = (
    "tests/experiments/test_iterative.py::test_the_experiment_runs_and_goes_on_where_it_stopped[1]",
    "tests/experiments/test_topics.py::test_planted_topics_are_found",
    "tests/experiments/test_vae.py::test_the_terms_telescope_from_the_evidence_to_the_encoder",
)
"""Beginnings of tests that `make test` has however long they take: experiments at a small size."""


def listed_tests() -> frozenset[str]:
    """The tests that are slow, as pytest names them."""
    return frozenset(LISTED.read_text("utf8").splitlines())


def seconds_of(run: Path) -> dict[str, float]:
    """How long each test took that a run has had, with what it set up."""
    cases = ElementTree.parse(run).iter("testcase")
    places = {case: case.get("classname", "").replace(".", "/") for case in cases}
    return {
        f"{place}.py::{case.get('name')}": float(case.get("time", "0"))
        for case, place in places.items()
    }


def slow_tests(seconds: Mapping[str, float]) -> set[str]:
    """Which of the tests are slow, whose times are given."""
    cases: defaultdict[str, list[str]] = defaultdict(list)
    for test in seconds:
        cases[test.partition("[")[0]].append(test)
    slow: set[str] = set()
    for own in cases.values():
        first, *further = sorted(own, key=seconds.__getitem__)
        slow |= {test for test in further if seconds[test] > FURTHER}
        if seconds[first] > ALONE:
            slow.add(first)
    quickest: dict[str, str] = {}
    for test in sorted(seconds, key=seconds.__getitem__):
        quickest.setdefault(test.partition("::")[0], test)
    return {test for test in slow.difference(quickest.values()) if not test.startswith(KEPT)}


def main() -> None:
    """Write the list anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    seconds = seconds_of(parser.parse_args().run)
    slow = slow_tests(seconds)
    unseen = listed_tests().difference(seconds)
    LISTED.write_text("".join(f"{test}\n" for test in sorted(slow | unseen)), "utf8")
    spared, whole = sum(seconds[test] for test in slow), sum(seconds.values())
    print(f"{len(slow)} slow tests of {len(seconds)}: {spared:.0f} of {whole:.0f} s")


if __name__ == "__main__":
    main()
