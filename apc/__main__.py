"""`python -m apc` is `apc`."""

import sys

from apc.cli.main import main

sys.exit(main())
