"""What laws are made of, and those that have a name."""

from thrifty.scaling.laws.form import Form, Power, Quadratic, Term
from thrifty.scaling.laws.named import NAMED, named

__all__ = ["NAMED", "Form", "Power", "Quadratic", "Term", "named"]
