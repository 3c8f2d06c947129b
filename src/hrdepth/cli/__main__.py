"""`python -m hrdepth.cli`."""

import sys

from hrdepth.cli.main import main

sys.exit(main())
