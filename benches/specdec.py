"""Speculative decoding beside its peers.

verify: the token rule on scores of 64 requests, against numpy and torch with all rows, and numpy that stops early. The
measurements are those of ``make goals PART=specdec`` item 7: ours and each peer take the same inputs in turn, in one
process on one thread, and answers are compared before times. This prints their figures as one table; ``--keep`` keeps
them as ``make goals`` does. ``--items specdec/7`` leaves others out.
"""

from __future__ import annotations

from figures import main

if __name__ == "__main__":
    main(__doc__, ("specdec/7",))
