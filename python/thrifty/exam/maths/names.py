"""The fixed lists of names that answers may use; every other name is a symbol."""

from __future__ import annotations

__all__ = [
    "ACCENTS",
    "ALIASES",
    "ARROWED",
    "CONNECTIVES",
    "DROPPED",
    "FUNCTIONS",
    "GREEK",
    "OPERATORS",
    "PLAIN_FUNCTIONS",
    "PRODUCTS",
    "RELATED",
    "STYLES",
    "TEXTS",
    "UNICODE",
    "UNIT_WORDS",
]

#: Functions of one argument, by name.
FUNCTIONS = frozenset(
    [
        "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc",
        "sinh", "cosh", "tanh", "coth", "sech", "csch", "arsinh", "arcosh", "artanh", "cis", "ln", "log", "lg",
        "exp", "sqrt", "cbrt", "abs", "floor", "ceil", "gcd", "lcm", "max", "min", "det", "dim", "ker", "deg",
        "arg", "re", "im", "sgn", "trace", "rank", "Pr",
    ]
)  # fmt: skip

#: What else people call them.
ALIASES = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "arctg": "arctan",
    "tg": "tan",
    "ctg": "cot",
    "cosec": "csc",
    "asinh": "arsinh",
    "acosh": "arcosh",
    "atanh": "artanh",
    "arcsinh": "arsinh",
    "arccosh": "arcosh",
    "arctanh": "artanh",
    "ceiling": "ceil",
    "Re": "re",
    "Im": "im",
    "sign": "sgn",
    "tr": "trace",
    "binomial": "binom",
    "comb": "binom",
    "factorial": "factorial",
    "Arg": "arg",
    "Ln": "ln",
    "Log": "log",
}

#: Functions that plain text writes by a word.
PLAIN_FUNCTIONS = FUNCTIONS | frozenset(ALIASES) | {"binom"}

GREEK = frozenset(
    [
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu",
        "xi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda",
        "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega", "hbar", "ell", "nabla", "partial", "aleph",
    ]
)  # fmt: skip

#: Commands and words that are one operator.
OPERATORS = {
    "cdot": "*",
    "times": "cross",
    "ast": "*",
    "div": "/",
    "pm": "+-",
    "mp": "-+",
    "le": "<=",
    "leq": "<=",
    "leqslant": "<=",
    "leqq": "<=",
    "ge": ">=",
    "geq": ">=",
    "geqslant": ">=",
    "geqq": ">=",
    "lt": "<",
    "gt": ">",
    "ne": "!=",
    "neq": "!=",
    "approx": "~",
    "simeq": "~",
    "thickapprox": "~",
    "cong": "==",
    "equiv": "==",
    "in": "in",
    "notin": "notin",
    "cup": "cup",
    "cap": "cap",
    "setminus": "minus",
    "backslash": "minus",
    "smallsetminus": "minus",
    "mid": "mid",
    "to": "->",
    "rightarrow": "->",
    "longrightarrow": "->",
    "mapsto": "->",
    "Rightarrow": "=>",
    "implies": "=>",
    "Longrightarrow": "=>",
    "iff": "<=>",
    "Leftrightarrow": "<=>",
    "leftrightarrow": "<=>",
    "lbrace": "\\{",
    "rbrace": "\\}",
    "lbrack": "[",
    "rbrack": "]",
    "dotsb": "...",
    "dotsm": "...",
    "triangleq": "=",
    "land": "land",
    "wedge": "land",
    "lor": "lor",
    "vee": "lor",
    "colon": ":",
    "ldots": "...",
    "dots": "...",
    "cdots": "...",
    "dotsc": "...",
    "prime": "'",
    "circ": "°",
    "degree": "°",
    "lvert": "|",
    "rvert": "|",
    "vert": "|",
    "lVert": "|",
    "rVert": "|",
    "Vert": "|",
    "infty": "infinity",
    "emptyset": "empty",
    "varnothing": "empty",
}

#: Words between the values of a list.
CONNECTIVES = {"and": "and", "or": "or", "&": "and", "und": "and", "et": "and"}

#: Commands that say how something looks.
DROPPED = frozenset(
    [
        "therefore", "because", "square", "blacksquare", "checkmark", "hfill", "mathstrut", "mathopen", "mathclose",
        "left", "right", "middle", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr",
        "Biggl", "Biggr", "displaystyle", "textstyle", "limits", "nolimits", "quad", "qquad", "space", "nonumber",
        "scriptstyle", "thinspace", "enspace", "rm", "bf", "it",
    ]
)  # fmt: skip

#: Commands around words.
TEXTS = frozenset(
    [
        "text", "textbf", "textit", "textrm", "textnormal", "textsf", "texttt", "mbox", "hbox", "mathrm",
        "operatorname", "mathit", "mathsf",
    ]
)  # fmt: skip

#: Commands around letters.
STYLES = frozenset(
    [
        "mathbf", "boldsymbol", "bm", "vec", "overrightarrow", "mathcal", "mathscr", "mathfrak", "underline",
    ]
)  # fmt: skip

#: Those of vectors.
ARROWED = frozenset({"mathbf", "boldsymbol", "bm", "vec", "overrightarrow"})

#: Signs on letters that make other names of them.
ACCENTS = {
    "hat": "hat",
    "widehat": "hat",
    "tilde": "tilde",
    "widetilde": "tilde",
    "check": "check",
    "breve": "breve",
    "acute": "acute",
    "grave": "grave",
    "mathring": "ring",
}

#: Commands between two sides that say how they are to each other.
RELATED = frozenset(
    [
        "subset", "subseteq", "subsetneq", "supset", "supseteq", "supsetneq", "sqsubseteq", "sqsupseteq", "sim", "perp",
        "parallel", "prec", "preceq", "succ", "succeq", "vdash", "models", "vDash", "propto", "ll", "gg", "ni", "nmid",
        "trianglelefteq", "unlhd", "asymp", "doteq", "leftarrow", "Leftarrow", "nsubseteq", "nparallel",
    ]
)  # fmt: skip

#: Commands between factors whose order may count.
PRODUCTS = frozenset(
    [
        "otimes", "odot", "ominus", "star", "bullet", "rtimes", "ltimes", "boxtimes", "wr", "diamond", "oplus", "uplus",
        "sqcup", "sqcap", "amalg",
    ]
)  # fmt: skip

#: Units that follow a number; whether they convert is not known here.
UNIT_WORDS = frozenset(
    [
        "mm", "cm", "dm", "km", "nm", "um", "ft", "yd", "mi", "kg", "mg", "lb", "lbs", "oz", "ml", "mL", "kJ", "kW",
        "kWh", "Hz", "kHz", "MHz", "GHz", "eV", "keV", "MeV", "GeV", "Pa", "kPa", "MPa", "min", "hr", "hrs", "sec",
        "mph", "mol", "deg", "rad", "cm2", "m2", "km2", "usd", "USD", "EUR",
    ]
)  # fmt: skip

UNICODE = {
    "\u2212": "-",
    "\u2013": "-",
    "\u2014": "-",
    "\u2010": "-",
    "\u2011": "-",
    "\u00d7": r"\times ",
    "\u00b7": r"\cdot ",
    "\u22c5": r"\cdot ",
    "\u2217": "*",
    "\u00f7": r"\div ",
    "\u2215": "/",
    "\u2044": "/",
    "\u00b1": r"\pm ",
    "\u2213": r"\mp ",
    "\u2264": r"\le ",
    "\u2265": r"\ge ",
    "\u2a7d": r"\le ",
    "\u2a7e": r"\ge ",
    "\u2260": r"\ne ",
    "\u2248": r"\approx ",
    "\u2261": r"\equiv ",
    "\u2208": r"\in ",
    "\u2209": r"\notin ",
    "\u222a": r"\cup ",
    "\u2229": r"\cap ",
    "\u2216": r"\setminus ",
    "\u221e": r"\infty ",
    "\u2205": r"\emptyset ",
    "\u2026": "...",
    "\u22ef": "...",
    "\u221a": " sqrt",
    "\u221b": " cbrt",
    "\u221c": r"\sqrt[4]",
    "\u00b0": r"\degree ",
    "\u00ba": r"\degree ",
    "\u2032": "'",
    "\u2019": "'",
    "\u2192": r"\to ",
    "\u21d2": r"\Rightarrow ",
    "\u2211": r"\sum ",
    "\u220f": r"\prod ",
    "\u222b": r"\int ",
    "\u27e8": r"\langle ",
    "\u27e9": r"\rangle ",
    "\u230a": r"\lfloor ",
    "\u230b": r"\rfloor ",
    "\u2308": r"\lceil ",
    "\u2309": r"\rceil ",
    "\u211d": r"\mathbb{R}",
    "\u2124": r"\mathbb{Z}",
    "\u2115": r"\mathbb{N}",
    "\u211a": r"\mathbb{Q}",
    "\u2102": r"\mathbb{C}",
    "\u2223": r"\mid ",
    "\u2220": r"\angle ",
    "\u210f": r"\hbar ",
    "\u2113": r"\ell ",
    "\u00bd": r"\frac12 ",
    "\u2153": r"\frac13 ",
    "\u2154": r"\frac23 ",
    "\u00bc": r"\frac14 ",
    "\u00be": r"\frac34 ",
    "\u215b": r"\frac18 ",
    "\u2155": r"\frac15 ",
    "\u2156": r"\frac25 ",
    "\u2157": r"\frac35 ",
    "\u2158": r"\frac45 ",
    "\u2159": r"\frac16 ",
    "\u215a": r"\frac56 ",
    "\u215c": r"\frac38 ",
    "\u215d": r"\frac58 ",
    "\u215e": r"\frac78 ",
    "\u2227": r"\wedge ",
    "\u2228": r"\vee ",
    "\u00ac": r"\neg ",
    "\u21d4": r"\iff ",
    "\u2194": r"\iff ",
    "\u2295": r"\oplus ",
    "\u2297": r"\otimes ",
    "\u2218": r"\circ ",
    "\u2202": r"\partial ",
    "\u2207": r"\nabla ",
    "\u2020": r"\dagger ",
    "\u2282": r"\subset ",
    "\u2283": r"\supset ",
    "\u2286": r"\subseteq ",
    "\u2287": r"\supseteq ",
    "\u00a0": " ",
    "\u2009": " ",
    "\u202f": " ",
    "\uff0c": ",",
    "\uff08": "(",
    "\uff09": ")",
    "\uff1d": "=",
}
UNICODE |= dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ",
        [
            f"\\{name} "
            for name in [
                "alpha",
                "beta",
                "gamma",
                "delta",
                "epsilon",
                "zeta",
                "eta",
                "theta",
                "iota",
                "kappa",
                "lambda",
                "mu",
                "nu",
                "xi",
                "pi",
                "rho",
                "sigma",
                "tau",
                "upsilon",
                "phi",
                "chi",
                "psi",
                "omega",
                "Gamma",
                "Delta",
                "Theta",
                "Lambda",
                "Xi",
                "Pi",
                "Sigma",
                "Phi",
                "Psi",
                "Omega",
            ]
        ],
        strict=True,
    )
)
