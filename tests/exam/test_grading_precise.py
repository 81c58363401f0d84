"""Answers that look alike and are not: a sign, a capital letter, a word or a digit makes another one."""

import pytest

from thrifty.exam import grade_answer

DIFFERENT = {
    "signs": (
        ("-x", "x"), ("f'(x)", "f(x)"), ("x'", "x''"), ("¬p", "p"), ("p ∧ q", "p ∨ q"), ("A → B", "A ↔ B"),
        ("A ⊆ B", "A ⊇ B"), ("∇·F", "∇×F"), ("⌊x⌋", "⌈x⌉"), ("f ∘ g", "f · g"), ("1;5", "1.5"), ("ν̄", "ν"),
        (r"\langle a|b\rangle", r"\langle b|a\rangle"), ("foo_bar", "foobar"), ("re-sign", "resign"), ("a[i]", "ai"),
        ("CO_2", "CO^2"), ("::1", "1"), ("#define", "define"), ("*p", "p"), ("**p", "*p"),
    ),
    "case": (
        ("AABb", "AaBb"), ("Aa", "aa"), ("Tt", "TT"), ("kb", "KB"), ("ABC", "abc"), ("Ab1", "aB1"), ("mRNA", "MRNA"),
        ("XhY", "XHY"), ("rR", "RR"), ("XHXh", "XHXH"),
    ),
    "notes": (("C♭", "C♯"), ("B♭", "B"), ("F♯", "F"), ("E♭ major", "E major"), ("C# minor", "C minor")),
    "denied": (
        ("42", "42 is incorrect"), ("42", "42 is wrong"), ("42", "42 (incorrect)"), ("42", "it can't be 42"),
        ("42", "42, which is incorrect"), ("42", "42 is not right"), ("42", "!= 42"), ("5 km", "5 km is too small"),
        ("42", "far from 42"), ("5", "all except 5"), ("5", "anything but 5"), ("7", "anything other than 7"),
        ("Paris", "Not Paris"), ("Paris", "I doubt it is Paris"), ("Paris", "It used to be Paris"),
        ("6", "six or seven"), ("copper and zinc", "copper or zinc"), ("gold", "It was thought to be gold"),
    ),
    "changed": (
        ("5", "twice 5"), ("5", "5 squared"), ("5", "5 factorial"), ("5", "the square root of 5"), ("5", "half of 5"),
        ("5 km", "nearly 5 km"), ("5", "5 per minute"), ("5", "the reciprocal of 5"), ("5", "twice as much as 5"),
    ),
    "names": (
        ("George Bush", "George W. Bush"), ("Newton", "Newton's method"), ("Adam Smith", "Adam Smith Jr."),
        ("Paris", "Paris, Texas"), ("Portland, Oregon", "Portland, Maine"), ("Curie", "Irène Joliot-Curie"),
    ),
    "numbers": (
        ("v1.2", "v1.20"), ("0.25", "0.25%"), ("7/12", "0.58333"), ("0", "9^9^9^9^9"), ("1", "0/0"),
        ("5", r"\frac{" * 600 + "1" + "}" * 600),
    ),
}  # fmt: skip
EQUAL = {
    "case": (
        ("paris", "Paris"), ("YES", "Yes"), ("dna", "DNA"), ("no", "No"), ("javascript", "JavaScript"), ("odd", "Odd"),
    ),
    "notes": (("B♭", "B flat"), ("F♯ minor", "F sharp minor"), ("E♭ major", "E-flat major"), ("C#", "C♯")),
    "markup": (("Paris", "*Paris*"), ("Paris", "**Paris"), ("Paris", "# Paris"), ("Paris", "* Paris"), ("15", "#15")),
    "sentences": (
        ("5", "The square root of 25 is 5"), ("16", "Twice 8 is 16"), ("120", "5 factorial = 120"),
        ("5", "5 is correct"),
        ("5", "5 (not 6)"), ("42", "It is 42, not 41"), ("60", "60 beats per minute"), ("25", "five squared is 25"),
        ("increases", "It increases"), ("mitochondria", "mitochondrion"), ("Paris", "Paris, France"),
        ("Houston", "Houston, Texas"), ("John F. Kennedy", "John Kennedy"), ("cacti", "cactus"), ("XIV", "14"),
    ),
    "numbers": (
        ("10", "10%"), ("0.25", "25%"), ("7/12", "0.583333"), ("1/3", r"0.\overline{3}"),
        ("1/7", r"0.\overline{142857}"), ("2520", "lcm(1,…,10) = 2520"),
        ("2520", r"$\text{lcm}(1, 2, \ldots, 10) = 2520$"),
    ),
    "signs": (
        ("p ∧ q", r"p \land q"), ("¬p", r"\neg p"), ("A ⊆ B", r"A \subseteq B"), ("pH 7", "pH = 7"), ("C++", "C++"),
    ),
    "units": (("kg", "kilogram"), ("m/s", "meters per second"), ("AB", "type AB")),
    "formulas": (("[Co(NH3)6]3+", r"$[\mathrm{Co(NH_3)_6}]^{3+}$"), ("sp3", "sp^3"), ("C", "$C$")),
}  # fmt: skip


@pytest.mark.parametrize("kind", DIFFERENT)
def test_what_only_looks_alike_is_different(kind: str) -> None:
    found = {pair: grade_answer(f"Answer: {pair[1]}", pair[0]).verdict for pair in DIFFERENT[kind]}
    assert {pair: v for pair, v in found.items() if v != "different"} == {}


@pytest.mark.parametrize("kind", EQUAL)
def test_what_only_looks_different_is_equal(kind: str) -> None:
    found = {pair: grade_answer(f"Answer: {pair[1]}", pair[0]).verdict for pair in EQUAL[kind]}
    assert {pair: v for pair, v in found.items() if v != "equal"} == {}


@pytest.mark.parametrize("response", ["~B", "¬B", "Grade: B", r"$\neg B$"])
def test_a_letter_that_is_denied_or_a_grade_chooses_nothing(response: str) -> None:
    assert grade_answer(f"Answer: {response}", "B", "multipleChoice").verdict == "different"


def test_wide_colons_mark_fields() -> None:
    found = grade_answer("Because.\nAnswer：12\nConfidence：90%", "12")
    assert (found.verdict, found.confidence_percent) == ("equal", 90.0)
