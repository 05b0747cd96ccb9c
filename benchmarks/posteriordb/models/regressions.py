"""Three regressions with flat coefficients, in the units of the questionnaire.

Nothing is centered or scaled, so that coefficients and their interactions are nearly collinear.
Gelman and Hill (2006), Data Analysis Using Regression and Multilevel/Hierarchical Models.
"""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints


def kidscore_interaction(kid_score, mom_hs, mom_iq):
    beta = _flat("beta", 4)
    sigma = numpyro.sample("sigma", dist.HalfCauchy(2.5))
    mean = beta[0] + beta[1] * mom_hs + beta[2] * mom_iq + beta[3] * mom_hs * mom_iq
    with numpyro.plate("children", len(kid_score)):
        numpyro.sample("kid_score", dist.Normal(mean, sigma), obs=kid_score)


def logearn_interaction(earn, height, male):
    beta = _flat("beta", 4)
    sigma = numpyro.sample("sigma", dist.ImproperUniform(constraints.positive, (), ()))
    mean = beta[0] + beta[1] * height + beta[2] * male + beta[3] * height * male
    with numpyro.plate("people", len(earn)):
        numpyro.sample("log_earn", dist.Normal(mean, sigma), obs=jnp.log(earn))


def nes(partyid7, real_ideo, race_adj, age_discrete, educ1, gender, income):
    beta = _flat("beta", 9)
    sigma = numpyro.sample("sigma", dist.ImproperUniform(constraints.positive, (), ()))
    ages = [jnp.where(age_discrete == age, 1.0, 0.0) for age in (2, 3, 4)]
    columns = [jnp.ones(len(partyid7)), real_ideo, race_adj, *ages, educ1, gender, income]
    with numpyro.plate("voters", len(partyid7)):
        mean = jnp.stack(columns, axis=-1) @ beta
        numpyro.sample("partyid7", dist.Normal(mean, sigma), obs=partyid7)


def _flat(name, size):
    return numpyro.sample(name, dist.ImproperUniform(constraints.real_vector, (), (size,)))
