"""`python -m amortis.cli`: the same as the command `amortis`."""

import sys

from amortis.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
