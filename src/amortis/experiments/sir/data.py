"""Influenza at an English boarding school, January and February 1978.

Boys in bed on fourteen days, out of 763; one boy was infected on the day before. Published in the
British Medical Journal of 4 March 1978, page 587.
"""

import numpy as np

BOYS = 763
"""Boys at the school, N."""

INFECTED = 1
"""Of them on day 0, I(0); all others were susceptible."""

CASES = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4])
"""Boys in bed on days 1, …, 14."""

DAYS = np.arange(1, len(CASES) + 1)
"""The days, counted from the first infection."""
