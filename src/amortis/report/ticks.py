"""Round numbers along an axis, and numbers as a report shows them."""

import math

_MINUS = "\N{MINUS SIGN}"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_FEWEST_DECADES = 1.0
_MOST_DIGITS = 8


def linear_ticks(low: float, high: float, most: int = 6) -> list[tuple[float, str]]:
    """Multiples of 1, 2 or 5 times a power of ten between two limits.

    Args:
        low: lower limit.
        high: upper limit, above it.
        most: number of ticks not to be passed.

    Returns:
        Values with their labels, all with the same number of decimals.
    """
    rough = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [i * step for i in range(first, last + 1)]
    largest = max((abs(value) for value in values), default=0.0)
    if largest >= 1e7 or 0.0 < largest < 1e-3:
        return [(value, number(value, 3)) for value in values]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(value, _signed(f"{value:,.{decimals}f}")) for value in values]


def log_ticks(low: float, high: float, most: int = 6) -> list[tuple[float, str]]:
    """Powers of ten between two positive limits, or 1, 2 and 5 times them where these are few.

    Args:
        low: lower limit, positive.
        high: upper limit, above it.
        most: number of ticks not to be passed.

    Returns:
        Values with their labels.
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    factors = (1.0, 2.0, 5.0) if last - first < _FEWEST_DECADES + 1 else (1.0,)
    values = [f * 10.0**e for e in range(first - 1, last + 1) for f in factors]
    inside = [value for value in values if low * 0.999 <= value <= high * 1.001]
    every = -(-len(inside) // most) if inside else 1
    return [(value, number(value, 3)) for value in inside[::every]]


def number(value: float, digits: int = 4) -> str:
    """A number for people: so many digits, thousands apart, powers of ten raised.

    Args:
        value: any number.
        digits: significant digits.

    Returns:
        Such as `−23,890`, `0.0215`, `3.2·10⁻⁶`; `not measured` for NaN, `∞`.
    """
    if math.isnan(value):
        return "not measured"
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    if value == 0.0:
        return "0"
    exponent = math.floor(math.log10(float(f"{abs(value):.{digits - 1}e}")))
    if -4 <= exponent < 7:
        decimals = max(0, digits - 1 - exponent)
        text = f"{value:,.{decimals}f}"
        return _signed(text.rstrip("0").rstrip(".") if "." in text else text)
    mantissa = f"{value / 10.0**exponent:.{digits - 1}f}".rstrip("0").rstrip(".")
    raised = f"10{str(exponent).translate(_RAISED)}"
    return _signed(raised if mantissa == "1" else f"{mantissa}·{raised}")


def with_error(mean: float, se: float) -> tuple[str, str]:
    """An estimate and its standard error, both to the error's second digit.

    Args:
        mean: the estimate.
        se: its standard error; NaN where it is not known.

    Returns:
        The two as text.
    """
    if not math.isfinite(mean) or not math.isfinite(se) or se <= 0.0:
        return number(mean), number(se, 2)
    last = math.floor(math.log10(se)) - 1
    exponent = math.floor(math.log10(abs(mean))) if mean else last
    digits = min(max(1, exponent - last + 1), _MOST_DIGITS)
    return number(mean, digits), number(se, 2)


def _signed(text: str) -> str:
    bare = text.removeprefix("-")
    if not bare.strip("0.,"):  # minus zero
        return bare
    return text.replace("-", _MINUS)
