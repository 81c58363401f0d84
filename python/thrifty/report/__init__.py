"""Records in, one static page out.

>>> from tempfile import TemporaryDirectory
>>> from thrifty.report import Bars, Figure, Grid, Section, write
>>> figure = Figure("size", "Size of the index", 14.1, "MB", baseline=100.0, source="this run")
>>> with TemporaryDirectory() as folder:
...     page = write(folder, "A report", [Section("rambo", "Search", "What was found.", [figure])])
...     "Size of the index" in page.read_text()
True
"""

from thrifty.report.page import FILES, write
from thrifty.report.records import Bars, Figure, Grid, Section, Series, Table

__all__ = ["FILES", "Bars", "Figure", "Grid", "Section", "Series", "Table", "write"]
