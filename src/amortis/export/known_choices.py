"""The choices that archives know by name."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from amortis.families import (
    AbstractFamily,
    AbstractLayers,
    AbstractTransformer,
    Affine,
    AutoregressiveLayers,
    Conditional,
    CouplingLayers,
    DiagonalNormal,
    Flow,
    FullRank,
    LowRank,
    Mixture,
    PartlyPoint,
    Point,
    Spline,
)
from amortis.inference_functions import (
    MLP,
    AbstractAscentRule,
    AbstractEncoding,
    AbstractGate,
    AbstractInferenceFunction,
    AbstractStepWeights,
    AdamSteps,
    Additive,
    AllSteps,
    Constant,
    Errors,
    FromPrior,
    GradientAscent,
    Highway,
    Iterative,
    LastStep,
    LayerNormalized,
    LBFGSSteps,
    LogSign,
    MomentumSteps,
    PlainSlope,
    Polynomial,
    Replacing,
    SetNetwork,
    Table,
    Windowed,
)
from amortis.objectives import (
    AbstractObjective,
    AnnealedKL,
    FreeBits,
    ImportanceWeighted,
    Renyi,
    SemiAmortized,
)

FAMILIES: Mapping[str, type[AbstractFamily]] = {
    known.__name__: known
    for known in (DiagonalNormal, Point, PartlyPoint, FullRank, LowRank, Mixture, Flow, Conditional)
}
LAYERS: Mapping[str, type[AbstractLayers]] = {
    known.__name__: known for known in (CouplingLayers, AutoregressiveLayers)
}
TRANSFORMERS: Mapping[str, type[AbstractTransformer]] = {
    known.__name__: known for known in (Affine, Spline)
}
FUNCTIONS: Mapping[str, type[AbstractInferenceFunction]] = {
    known.__name__: known
    for known in (
        Constant,
        Table,
        Polynomial,
        MLP,
        Windowed,
        SetNetwork,
        Iterative,
        GradientAscent,
    )
}
ACTIVATIONS: Mapping[str, Callable[..., Any]] = {
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "tanh": jnp.tanh,
}

OBJECTIVES: Mapping[str, type[AbstractObjective]] = {
    known.__name__: known
    for known in (SemiAmortized, ImportanceWeighted, Renyi, AnnealedKL, FreeBits)
}

ENCODINGS: Mapping[str, type[AbstractEncoding]] = {
    known.__name__: known for known in (LogSign, LayerNormalized, PlainSlope, Errors)
}
GATES: Mapping[str, type[AbstractGate]] = {
    known.__name__: known for known in (Highway, Additive, Replacing)
}
STEP_WEIGHTS: Mapping[str, type[AbstractStepWeights]] = {
    known.__name__: known for known in (AllSteps, LastStep)
}
RULES: Mapping[str, type[AbstractAscentRule]] = {
    known.__name__: known for known in (MomentumSteps, AdamSteps, LBFGSSteps)
}
STARTS: Mapping[str, type[FromPrior]] = {FromPrior.__name__: FromPrior}
