"""What `report` refuses, before anything is computed."""

import os
import tempfile
from pathlib import Path
from typing import Any

from amortis._errors import ArgumentError
from amortis._require import require_kind, shown
from amortis.diagnostics import Diagnosis
from amortis.fitting import Fit
from amortis.inference_functions import described
from amortis.report.calibration_series import CalibrationLike
from amortis.structure import Verdict


def require_records(
    fitted: Any, diagnosis: Any, verdict: Any, calibration: Any, reference: Any, title: Any
) -> None:
    """Refuse what cannot be reported.

    Raises:
        ArgumentError: something other than these records, or records of different data.
    """
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    size = fitted.model.size
    if diagnosis is not None:
        require_kind("diagnosis", diagnosis, Diagnosis, "amortis.diagnose(fit, key=key)")
        if diagnosis.size != size:
            raise ArgumentError(
                f"the diagnosis is of {diagnosis.size} rows and the fit of {size}; expected a "
                f"diagnosis of this fit: pass amortis.diagnose(fit, key=key)"
            )
        if diagnosis.function != described(fitted.guide.inference):
            raise ArgumentError(
                f"the diagnosis is of a fit with {diagnosis.function}, this one has "
                f"{described(fitted.guide.inference)}; expected a diagnosis of this fit: pass "
                f"amortis.diagnose(fit, key=key)"
            )
    if verdict is not None:
        require_kind("verdict", verdict, Verdict, "amortis.check(model, x)")
    if reference is not None:
        require_kind("reference", reference, Fit, "amortis.fit(model, key=key, inference=Table())")
        if reference.model.size != size:
            raise ArgumentError(
                f"the reference has {reference.model.size} rows and the fit {size}; expected a fit "
                f"of the same model and data, or their ELBOs cannot be compared"
            )
    if calibration is not None and not isinstance(calibration, CalibrationLike):
        raise ArgumentError(
            f"calibration is {shown(calibration)}; expected the record of a calibration, with "
            f"sites, simulations and draws: leave it out"
        )
    if title is not None and not isinstance(title, str):
        raise ArgumentError(f"title is {shown(title)}; expected text: leave it out")


def require_place(path: Any) -> Path:
    """Refuse a path where no file can be written, by trying in its folder.

    Raises:
        ArgumentError: no file can be written there.
    """
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise ArgumentError(f"path is {shown(path)}; expected a file name: pass 'report.html'")
    target = Path(path)
    if target.is_dir():
        raise ArgumentError(f"'{target}' is a folder; expected a file name: add '/report.html'")
    if not target.parent.is_dir():
        raise ArgumentError(
            f"'{target}' cannot be written: there is no folder '{target.parent}'; make it first"
        )
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise ArgumentError(
            f"'{target}' cannot be written: {error.strerror or error}; choose another folder, or "
            f"make room"
        ) from error
    return target
