"""`Probe`: which units' factors move when some units, or entries of the data, are moved."""

import math
from collections.abc import Collection, Mapping

import jax
import numpy as np
from jaxtyping import Array, Bool

from amortis.structure.additivity import Additivity, Sums, in_double, make_additivity
from amortis.structure.evaluate import (
    Evaluation,
    Moves,
    Outcome,
    SiteEvaluation,
    make_evaluation,
    make_site_evaluation,
)
from amortis.structure.joint import AnyArray, Joint, LatentAxis
from amortis.structure.moved import AtSites, Moved, Response
from amortis.structure.moved_data import Data, draw_data
from amortis.structure.points import Point, Prior, Tries, draw_points

_MANY = 100_000
"""Up to so many latents and data every subset of units is moved at every point; beyond that, at one
point each."""


class Probe:
    r"""Moves parts of a joint density and watches $\nabla_{z_n}\log p$ for every unit n.

    The factor of unit n that is optimal given the others is $q(z_n) \propto \exp
    E[\log p(\theta, z, x)]$, so it reads an entry of the data, or another unit, if and only if
    $\nabla_{z_n}\log p$ depends on it. Two dependences are looked at in one evaluation: the
    derivative along a random direction, a Hessian-vector product, which is exactly zero where there
    is no term in common; and a finite move, which also finds comparisons, `where` and integers.

    Args:
        joint: the density.
        axis: the latents' axis whose units are looked at.
        prior: of the density, where it has been made for another axis.
        seed: of the points.

    Raises:
        FloatingPointError: the density is not finite at any point that was tried.
    """

    def __init__(
        self, joint: Joint, axis: LatentAxis, prior: Prior | None = None, seed: int = 0
    ) -> None:
        self.joint, self.axis = joint, axis
        generator = np.random.default_rng(seed)
        self._data: tuple[Data, ...] = jax.device_put(draw_data(joint, generator))
        self._which: list[int] = []
        self._evaluations: dict[str | None, Evaluation] = {}
        self._of_sites: dict[int, tuple[Joint, SiteEvaluation]] = {}
        # Compiled when first called, if ever; the second in double precision.
        self._additivity: Additivity = make_additivity(joint, axis)
        self._in_double: Additivity | None = make_additivity(joint, axis)
        self._stay = Moved(np.zeros(axis.size, bool), {})
        self.points: list[Point] = []
        self._before: list[Outcome] = []
        prior = Prior(joint) if prior is None else prior
        for tries in draw_points(joint, axis, prior, generator):
            self._add_first_good(tries)
        if not self.points:
            raise FloatingPointError(
                "the log density is not finite at any of the points that were tried: draws from "
                "the prior, and unconstrained latents within 3 of zero"
            )

    @property
    def is_fast(self) -> bool:
        """Whether there are few enough latents and data to make every move at every point."""
        numbers = sum(math.prod(shape) for shape in self.joint.latents.values())
        return numbers + sum(value.size for value in self.arrays.values()) <= _MANY

    def at_points(self, number: int) -> tuple[int, ...]:
        """Points at which to make the number-th of many moves: all, or if slow, one in turn."""
        every = range(len(self.points))
        return tuple(every) if self.is_fast else (number % len(self.points),)

    @property
    def data(self) -> Data:
        """The model's own data, and other rows' values to move to."""
        return self._data[0]

    @property
    def arrays(self) -> dict[str, AnyArray]:
        """The data, without the constants of the model."""
        return {**self.data.floats, **self.data.integers}

    def respond(
        self,
        units: Bool[np.ndarray, " units"],
        entries: Mapping[str, tuple[int, Bool[np.ndarray, " entries"]]],
        point: int = 0,
        sites: Collection[str] | None = None,
        fixed: Mapping[str, Bool[np.ndarray, " entries"]] | None = None,
        term: str | None = None,
    ) -> Response:
        """Move units, entries of arrays and other latents, and see whose factors moved.

        Args:
            units: the units to move.
            entries: for each array to move, an axis and a mask along it.
            point: which point, modulo their number.
            sites: the local sites to move; all if left out.
            fixed: for each latent off the axis that is to be moved, a mask along its first axis.
            term: a site whose term alone is looked at; all terms if left out.

        Returns:
            The response of every unit, those that were moved included.
        """
        number = point % len(self.points)
        moves = self._moves(units, entries, sites, fixed or {})
        before = self._gradient_before(number, term)
        outcome = self._evaluation(term)(self.points[number], self._data_at(number), moves, before)
        level, terms = jax.device_get((outcome.level, outcome.terms))
        strong = {name: value == 2 for name, value in level.items()}
        weak = np.any(np.stack([value == 1 for value in level.values()]), axis=0)
        return Response(strong, weak, {name: float(value) for name, value in terms.items()})

    def respond_from(
        self, data: Data, entries: Mapping[str, tuple[int, Bool[np.ndarray, " entries"]]]
    ) -> Bool[np.ndarray, " units"]:
        """Move entries of other data than the model's, at the first point.

        Args:
            data: where to start, and where to move to.
            entries: for each array to move, an axis and a mask along it.

        Returns:
            The units whose factors moved.
        """
        point = self.points[0]
        zero = {n: np.zeros_like(v) for n, v in point.z.items()}
        before = self._evaluation(None)(point, data, self._nothing(), zero).gradient
        nobody = np.zeros(self.axis.size, bool)
        moves = self._moves(nobody, entries, None, {})
        level = jax.device_get(self._evaluation(None)(point, data, moves, before).level)
        return np.any(np.stack([value == 2 for value in level.values()]), axis=0)

    def terms(self, point: int) -> dict[str, float]:
        """Log density of every site at a point, where nothing is moved."""
        before = jax.device_get(self._before[point % len(self.points)].terms)
        return {name: float(value) for name, value in before.items()}

    def at_sites(self, point: Point, arrays: Mapping[str, AnyArray], joint: Joint) -> AtSites:
        r"""Each site's log density by element, and its gradient in the units' latents.

        Args:
            point: the latents.
            arrays: the data.
            joint: this probe's density, or one with other constants.

        Returns:
            Both; gradients by site and by local latent have shape (units, numbers).
        """
        known = self._of_sites.get(id(joint))
        if known is None:
            # The density is kept beside its function, so that its id stays its own.
            known = (joint, make_site_evaluation(joint, self.axis))
            self._of_sites[id(joint)] = known
        floats = {n: arrays[n] for n in self.data.floats}
        integers = {n: arrays[n] for n in self.data.integers}
        found = jax.device_get(known[1](point, floats, integers))
        gradients = {
            site: {n: np.asarray(v).reshape(self.axis.size, -1) for n, v in of_site.items()}
            for site, of_site in found.gradients.items()
        }
        elements = {n: tuple(np.asarray(v) for v in of) for n, of in found.elements.items()}
        return AtSites(gradients, elements)

    def jumps(self, one: Moved, other: Moved, where: int, turn: int = 0) -> tuple[str, ...]:
        """The sites that see two moves together otherwise than one by one.

        Args:
            one: units and entries to move.
            other: other units and entries.
            where: which point, modulo their number.
            turn: by how many units the values that latents move to are turned around, so that
                several moves of two units at one point do not all compare the same four values.

        Returns:
            Their names; see `make_additivity`. Where a term sums over many units it is evaluated in
            double precision as well, so that a jump does not drown in its rounding.
        """
        number = where % len(self.points)
        both = one.with_(other)
        # Every move says of the same axes of the arrays what moves along them.
        still = {n: (axis, np.zeros_like(mask)) for n, (axis, mask) in both.entries.items()}
        four = [
            self._moves(m.units, {**still, **m.entries}, None, {})
            for m in (self._stay, one, other, both)
        ]
        moves = jax.tree.map(lambda *masks: np.stack(masks), *four)
        point, data = self._turned(self.points[number], turn), self._data_at(number)
        found = jax.device_get(self._additivity(point, data, moves))
        if not any(found.jumps.values()) and any(found.drowned.values()):
            found = self._in_double_precision(point, data, moves) or found
        return tuple(name for name, differs in found.jumps.items() if differs)

    def _turned(self, point: Point, turn: int) -> Point:
        local = {n: np.roll(np.asarray(point.others[n]), turn, axis=0) for n in self.axis.sites}
        return point._replace(others={**point.others, **local}) if turn else point

    def _in_double_precision(self, point: Point, data: Data, moves: Moves) -> Sums | None:
        """The same in double precision; None if the model runs in single precision only."""
        if self._in_double is None:
            return None
        try:
            with jax.enable_x64(True):
                return jax.device_get(self._in_double(*in_double((point, data, moves))))
        except (TypeError, ValueError):
            # The model mixes precisions, as by double-precision constants that JAX has made single.
            self._in_double = None
            return None

    def _evaluation(self, term: str | None) -> Evaluation:
        """Compiled once for all terms, and once for each term that is looked at alone."""
        if term not in self._evaluations:
            self._evaluations[term] = make_evaluation(self.joint, self.axis, term)
        return self._evaluations[term]

    def _gradient_before(self, number: int, term: str | None) -> dict[str, Array]:
        if term is None:
            return self._before[number].gradient
        point = self.points[number]
        zero = {n: np.zeros_like(v) for n, v in point.z.items()}
        return self._evaluation(term)(point, self._data_at(number), self._nothing(), zero).gradient

    def _nothing(self) -> Moves:
        return self._moves(np.zeros(self.axis.size, bool), {}, None, {})

    def _moves(
        self,
        units: Bool[np.ndarray, " units"],
        entries: Mapping[str, tuple[int, Bool[np.ndarray, " entries"]]],
        sites: Collection[str] | None,
        fixed: Mapping[str, Bool[np.ndarray, " entries"]],
    ) -> Moves:
        latents = {}
        for name, shape in self.joint.latents.items():
            if name in self.axis.sites:
                moved = sites is None or name in sites
                latents[name] = np.asarray(units) if moved else np.zeros_like(units)
            else:
                latents[name] = fixed.get(name, np.zeros(shape[:1] or (1,), bool))
        arrays = {}
        for name, value in self.arrays.items():
            axis, mask = entries.get(name, (0, np.zeros(1, bool)))
            shape = [1] * value.ndim
            if value.ndim:
                shape[axis] = value.shape[axis]
            full = np.broadcast_to(mask, (shape[axis],)) if value.ndim else mask[:1]
            arrays[name] = full.reshape(shape)
        return Moves(latents, arrays)

    def _data_at(self, number: int) -> Data:
        """The data at this point, and where they move to."""
        return self._data[self._which[number]]

    def _add_first_good(self, tries: Tries) -> None:
        """Add the first point at which density and gradient are finite, if there is one."""
        for point in tries.points:
            for which in dict.fromkeys((tries.data, 0)):
                if self._add_if_good(jax.device_put(point), which):
                    return

    def _add_if_good(self, point: Point, which: int) -> bool:
        zero = {n: np.zeros_like(v) for n, v in point.z.items()}
        outcome = self._evaluation(None)(point, self._data[which], self._nothing(), zero)
        values = jax.device_get([*outcome.gradient.values(), *outcome.terms.values()])
        if not all(np.isfinite(v).all() for v in values):
            return False
        self.points.append(point)
        self._before.append(outcome)
        self._which.append(which)
        return True
