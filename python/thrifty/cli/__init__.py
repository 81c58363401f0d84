"""The command line: ``thrifty PART VERB …``."""
