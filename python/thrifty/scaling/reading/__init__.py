"""Reading training runs: CSV, JSON lines, parquet, exports of trackers; checks that name line and column."""

from thrifty.scaling.reading.read import no_loss, read_runs

__all__ = ["no_loss", "read_runs"]
