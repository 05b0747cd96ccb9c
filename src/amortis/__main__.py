"""`python -m amortis`: the same as the command `amortis`."""

import sys

from amortis.cli import main

if __name__ == "__main__":
    sys.exit(main())
