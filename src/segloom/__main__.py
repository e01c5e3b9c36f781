"""``python -m segloom`` is the command line."""

import sys

from segloom.cli.main import main

sys.exit(main())
