"""`python -m apc` is `apc`."""

import sys

from apc.cli import main

sys.exit(main())
