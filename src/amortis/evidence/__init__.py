r"""Evidence: $\log p(x_n\mid\hat\theta)$ of each datum, and what of it q leaves out, term by term.

A fit with separable rows comes in, its globals held; records in nats come out.
"""

from amortis.evidence.annealed import AnnealedImportanceSampling
from amortis.evidence.gap_record import InferenceGap, RowTerm
from amortis.evidence.importance import ImportanceSampling
from amortis.evidence.inference_gap import inference_gap
from amortis.evidence.log_evidence import log_evidence
from amortis.evidence.record import LogEvidence
from amortis.evidence.row_ascent import RowAscent
from amortis.evidence.weighed import AbstractEvidenceMethod

__all__ = [
    "AbstractEvidenceMethod",
    "AnnealedImportanceSampling",
    "ImportanceSampling",
    "InferenceGap",
    "LogEvidence",
    "RowAscent",
    "RowTerm",
    "inference_gap",
    "log_evidence",
]
