"""PairConnect beside its peers: training steps, lookups and single tokens, tables of the Engram kind.

The measurements are those of ``make goals PART=pairconnect`` items 5, 6 and 7: ours and each peer take the same inputs
in turn, in one process on one thread, and answers are compared before times. This prints their figures as one table;
``--keep`` keeps them as ``make goals`` does. ``--items pairconnect/5`` leaves some out; ``--data`` names the folder of
the real data sets.
"""

from __future__ import annotations

from figures import main

if __name__ == "__main__":
    main(__doc__, ("pairconnect/5", "pairconnect/6", "pairconnect/7"))
