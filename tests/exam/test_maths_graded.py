"""Mathematics as it stands in responses, through the whole grader."""

from __future__ import annotations

import pytest

from thrifty.exam import grade_answer

EQUAL = [
    ("x = \\frac{-1 \\pm \\sqrt{13}}{4}", "Exact Answer: x = (-1 ± √13)/4"),
    ("\\frac{3}{4}", "Explanation: foo\nExact Answer: 3/4 of the cake\nConfidence: 90%"),
    ("\\frac{\\pi}{4}", "Answer: $\\pi/4$ radians"),
    ("2\\sqrt{3}", "The final answer is $2\\sqrt{3} \\approx 3.46$."),
    ("(x+1)(x-1)", "**Answer:** $x^2 - 1$\n\n**Confidence:** 80%"),
    ("n(n+1)/2", "Answer: The closed form is $\\frac{n(n+1)}{2}$."),
    ("(0, 1)", "Answer: The interval is (0, 1)."),
    ("[0, \\infty)", "Answer: all x with $x \\ge 0$"),
    ("{2, 3}", "Answer: x = 2 or x = 3"),
    ("{2, 3}", "Answer: The solutions are 2 and 3."),
    ("2, 3", "Answer: 3 and 2"),
    ("y = 2x + 1", "Answer: The line is y = 2x + 1."),
    ("y = 2x + 1", "Answer: $2x - y + 1 = 0$"),
    ("e^{-2}", "Answer: exp(-2)"),
    ("\\ln 2", "Answer: ln(2) ≈ 0.693"),
    ("1/e", "Answer: $e^{-1}$"),
    ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "Answer: [[1, 2], [3, 4]]"),
    ("3 + 4i", "Answer: 4i + 3"),
    ("\\sqrt[3]{2}", "Answer: 2^(1/3)"),
    ("2^{1/3}", "Answer: ∛2"),
    ("x^2 + 2x + 1", "Answer: (x + 1)²"),
    ("\\frac{1}{1-x}", "Answer: 1/(1-x)"),
    ("\\frac{1}{1-x}", "Answer: -1/(x-1)"),
    ("O(n \\log n)", "Answer: O(n log n)"),
    ("\\Theta(n^2)", "Answer: Θ(n²)"),
    ("5!", "Answer: 120"),
    ("120", "Answer: 5!"),
    ("\\binom{10}{3}", "Answer: 120"),
    ("C(10,3)", "Answer: 120"),
    ("2^{10}", "Answer: 1024"),
    ("1024", "Answer: 2^10"),
    ("10^6", "Answer: 1,000,000"),
    ("0.001", "Answer: 10^{-3}"),
    ("-\\frac{1}{2}", "Answer: -0.5"),
    ("\\frac{22}{7}", "Answer: 3 1/7"),
    ("7/2", "Answer: 3.5"),
    ("3.5", "Answer: 7/2"),
    ("\\emptyset", "Answer: the empty set"),
    ("no solution", "Answer: ∅"),
    ("\\frac{1}{2}", "Answer: one half"),
    ("x > 3", "Answer: (3, ∞)"),
    ("x \\geq 3", "Answer: x is at least 3"),
    ("30^\\circ", "Answer: π/6"),
    ("\\tan^{-1}(2)", "Answer: arctan 2"),
    ("\\arctan 2", "Answer: tan⁻¹(2)"),
    ("v = \\sqrt{2gh}", "Answer: √(2gh)"),
    ("F = \\frac{Gm_1m_2}{r^2}", "Answer: F = G m1 m2 / r^2"),
    ("\\frac{mv^2}{r}", "Answer: m v^2 / r"),
    ("\\frac{1}{2}kx^2", "Answer: 0.5 k x²"),
    ("E = mc^2", "Answer: mc²"),
    ("\\lambda = h/p", "Answer: h/p"),
    ("k_1 k_2/(k_1+k_2)", "Answer: $\\frac{k_1k_2}{k_1+k_2}$"),
    ("a_n = 2^n - 1", "Answer: $2^n - 1$"),
    ("x^3/3 + C", "Answer: $\\frac{1}{3}x^3 + C$"),
    ("p(1-p)", "Answer: p - p²"),
    ("\\mu", "Answer: μ"),
    ("\\sigma^2/n", "Answer: σ²/n"),
    ("1:2", "Answer: 1/2"),
    ("3:2", "Answer: 6:4"),
    ("(3, -2)", "Answer: x = 3, y = -2"),
    ("(3, -2)", "Answer: (3,-2)"),
    ("x=3, y=-2", "Answer: (3, −2)"),
    ("\\{1,2,3\\}", "Answer: {3,2,1}"),
    ("\\pm 4", "Answer: 4 and -4"),
    ("\\pm 4", "Answer: x = ±4"),
    ("\\text{Yes}", "Answer: yes"),
    ("8\\pi", "Answer: 8π cm^2"),
    ("8\\pi", "Answer: 8*pi"),
    ("\\frac{4}{3}\\pi r^3", "Answer: (4/3)πr³"),
    ("2^{n-1}", "Answer: 2^n/2"),
    ("\\log_2 n", "Answer: log2(n)"),
    ("\\log_2 n", "Answer: lg n / lg 2"),
]

DIFFERENT = [
    ("\\frac{3}{4}", "Answer: 4/3"),
    ("(0, 1)", "Answer: [0, 1]"),
    ("{2, 3}", "Answer: 2"),
    ("{2,3}", "Answer: x = 2 or x = 4"),
    ("y = 2x + 1", "Answer: y = 2x − 1"),
    ("e^{-2}", "Answer: e^2"),
    ("3+4i", "Answer: 3 - 4i"),
    ("x^2+2x+1", "Answer: (x-1)^2"),
    ("O(n log n)", "Answer: O(n^2)"),
    ("5!", "Answer: 5"),
    ("\\pm 4", "Answer: 4"),
    ("x > 3", "Answer: x ≥ 3"),
    ("(3,-2)", "Answer: (-2,3)"),
    ("2^{n-1}", "Answer: 2^n - 1"),
    ("\\sqrt{2}", "Answer: 1.5"),
    ("\\frac{mv^2}{r}", "Answer: mv^2 r"),
    ("F = ma", "Answer: F = mv"),
    ("\\arctan 2", "Answer: tan 2"),
    ("\\ln 2", "Answer: log10(2)"),
    ("8\\pi", "Answer: 8"),
    ("n", "Answer: n+1"),
    ("2n", "Answer: 2m"),
    ("(1,2,3)", "Answer: (1,2)"),
    ("\\sigma^2", "Answer: σ"),
    ("\\frac{1}{2}", "Answer: 1/2 or 1/3"),
    ("x=2", "Answer: x = 2 or x = -2"),
    ("\\sin x", "Answer: cos x"),
    ("a^2", "Answer: A^2"),
    ("H_0", "Answer: H_1"),
    ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "Answer: [[1, 3], [2, 4]]"),
    ("0.5", "Answer: 0.55"),
    ("30^\\circ", "Answer: π/3"),
    ("x \\in (1,2)", "Answer: x = 1 or x = 2"),
    ("\\{1,2\\}", "Answer: {1,2,3}"),
    ("-3", "Answer: 3"),
    ("7 = 11a + c", "Answer: 11a+c"),
]


@pytest.mark.parametrize(("gold", "response"), EQUAL)
def test_equal(gold: str, response: str) -> None:
    assert grade_answer(response, gold).verdict == "equal"


@pytest.mark.parametrize(("gold", "response"), DIFFERENT)
def test_different(gold: str, response: str) -> None:
    assert grade_answer(response, gold).verdict == "different"


def test_what_never_ends_is_left_to_a_judge() -> None:
    verdict = grade_answer(r"Answer: $\sum_{k=1}^{10^{12}} \frac{\sin k}{k^{k}}$", "1")
    assert verdict.verdict == "abstain"
