"""`python -m resolver.launch --brief FD`: how a worker is exec'd, never by hand.

structlog takes rich along where it is installed, for tracebacks in colours on a terminal: five megabytes in every
worker, and a part of each start, for what workers never show.
"""

from __future__ import annotations

import sys

sys.modules["rich"] = None  # type: ignore[assignment] # an import of it fails, as where it is not installed

from resolver.worker import main  # noqa: E402 # after what it must not find

if __name__ == "__main__":
    main()
