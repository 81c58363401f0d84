"""SLIDE beside its peers: nouns of WordNet, 670,091 labels and more, a language model of words, ranks on slow links.

The measurements are those of ``make goals PART=slide`` items 3, 4 and 6, and of PART=ranks item 2: ours and each peer
take the same inputs on one thread, answers are judged beside times, and CPU-seconds are compared (seconds over links).
This prints their figures as one table; ``--keep`` keeps them as ``make goals`` does. ``--items slide/3,slide/4`` leaves
some out; ``--data`` names the folder of the real data sets.
"""

from __future__ import annotations

from figures import main

if __name__ == "__main__":
    main(__doc__, ("slide/3", "slide/4", "slide/6", "ranks/2"))
