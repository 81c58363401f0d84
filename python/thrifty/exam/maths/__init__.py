"""Whether two answers are the same mathematics.

>>> from thrifty.exam.maths import compare
>>> compare("x^2 - 1", "(x+1)(x-1)")
'equal'
"""

from thrifty.exam.maths.allowance import budget
from thrifty.exam.maths.compare import compare

__all__ = ["budget", "compare"]
