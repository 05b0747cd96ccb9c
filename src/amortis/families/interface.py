"""What every variational factor offers."""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Array, Float


class AbstractFamily(eqx.Module):
    r"""A family of distributions $q(u;\nu)$ on $\mathbb{R}^d$, sampled by reparameterization.

    Written for one factor: `raw` is the vector $\nu$ of its real-valued parameters.
    """

    @property
    @abstractmethod
    def is_density(self) -> bool:
        """Whether q has a density; if not, the log joint is taken on the constrained scale."""

    @abstractmethod
    def raw_size(self, dimension: int) -> int:
        """Number of raw parameters for d dimensions.

        Raises:
            ArgumentError: the family cannot be made for so many dimensions.
        """

    def noise_size(self, dimension: int) -> int:
        """Number of standard normals that a draw of d dimensions is made of."""
        return dimension

    @abstractmethod
    def start(self, dimension: int, log_sd: float) -> Float[Array, " raw"]:
        """Raw parameters of a factor at zero with the given log standard deviation."""

    @abstractmethod
    def sample(
        self, raw: Float[Array, " raw"], noise: Float[Array, " noise"]
    ) -> Float[Array, " d"]:
        """Map standard normal noise to a draw of q."""

    @property
    @abstractmethod
    def is_factorized(self) -> bool:
        """Whether the coordinates are independent, so that draws need not span all directions."""

    @property
    @abstractmethod
    def is_identified(self) -> bool:
        """Whether other parameters are other laws, so that the ELBO curves along all of them."""

    @abstractmethod
    def standardized(
        self, raw: Float[Array, " raw"], value: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        r"""Coordinates in which q, if it is Gaussian, is standard normal: $L^{-1}(u - m)$.

        Zero for a point.
        """

    @abstractmethod
    def draw(
        self, raw: Float[Array, " raw"], noise: Float[Array, " noise"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        r"""A draw of q, and the entropy in nats, total over the dimensions.

        The entropy is in closed form where there is one; else it is $-\log q$ at the draw, which
        is unbiased for it, as are its derivatives.

        Args:
            raw: raw parameters.
            noise: standard normal noise of one draw.
        """

    @abstractmethod
    def log_density(self, raw: Float[Array, " raw"], value: Float[Array, " d"]) -> Float[Array, ""]:
        """Log density of a value, in nats."""

    @abstractmethod
    def moments(self, raw: Float[Array, " raw"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        """Means and standard deviations of the d coordinates.

        Exact for Gaussians; of a flow, by a deterministic rule.
        """

    @abstractmethod
    def coordinates(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        """Coordinates for second-order search, in which all directions curve alike near an optimum.

        Args:
            raw: raw parameters.

        Returns:
            As many numbers, from which `from_coordinates` recovers the factor.
        """

    @abstractmethod
    def from_coordinates(self, coordinates: Float[Array, " raw"]) -> Float[Array, " raw"]:
        """Raw parameters from search coordinates."""

    @abstractmethod
    def natural_step(
        self, raw: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> Float[Array, " raw"]:
        r"""$F(\nu)^{-1} g$, the direction of steepest ascent in nats, at most two sds long.

        Args:
            raw: raw parameters.
            gradient: of some objective in nats.

        Returns:
            The step, coordinate by coordinate bounded to two sds in means and two in log sds.
        """

    @abstractmethod
    def unsettled(
        self, coordinates: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """How far the factor is from stationary, by the gradient of the ELBO.

        Args:
            coordinates: search coordinates.
            gradient: gradient of the ELBO (nats, total) in these coordinates.

        Returns:
            The largest shift of a mean still to come, in its standard deviations, and the largest
            relative change of a standard deviation, both to first order.
        """


class AbstractAffineFamily(AbstractFamily):
    r"""A family that affine maps do not leave: if u has a law in it, so has $a + Bu$.

    Such a family can be searched for in any affine frame of reference; see `Framed`.
    """

    @abstractmethod
    def gaussian(self, mean: Float[Array, " d"], root: Float[Array, "d d"]) -> Float[Array, " raw"]:
        r"""Raw parameters of the normal with this mean and covariance $BB^\top$.

        Args:
            mean: the mean.
            root: B, lower triangular with a positive diagonal.
        """

    @abstractmethod
    def mapped(
        self, raw: Float[Array, " raw"], shift: Float[Array, " d"], root: Float[Array, "d d"]
    ) -> Float[Array, " raw"]:
        r"""Raw parameters of the law of $a + Bu$.

        Args:
            raw: raw parameters of the law of u.
            shift: a.
            root: B, lower triangular with a positive diagonal.
        """
