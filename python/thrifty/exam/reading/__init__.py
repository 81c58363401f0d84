"""Data sets read and checked: files to questions."""
