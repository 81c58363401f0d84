"""Search thousands of genomes or documents with a Repeated And Merged Bloom Filter (arXiv 1910.04358).

>>> from thrifty.rambo import RamboBuilder, RamboPlan
>>> plan = RamboPlan.for_documents([4, 4], fpr=1e-3)
>>> builder = RamboBuilder(plan, items="dna", k=5)
>>> builder.add_sequence("one", "ACGTACGG")
0
>>> builder.add_sequence("two", "TTTTTCCC")
0
>>> index = builder.freeze()
>>> [hit.document for hit in index.search("ACGTACG", theta=1.0).hits]
['one']
"""

from thrifty.rambo.build import build, list_inputs, plan_files
from thrifty.rambo.builder import RamboBuilder
from thrifty.rambo.index import RamboIndex
from thrifty.rambo.items import Items, hash_items, hash_many
from thrifty.rambo.plan import RamboPlan
from thrifty.rambo.queries import QueryBatch, read_queries
from thrifty.rambo.results import Hit, Matches, SearchResult

__all__ = [
    "Hit",
    "Items",
    "Matches",
    "QueryBatch",
    "RamboBuilder",
    "RamboIndex",
    "RamboPlan",
    "SearchResult",
    "build",
    "hash_items",
    "hash_many",
    "list_inputs",
    "plan_files",
    "read_queries",
]
