"""Small functions with tests, and one slip in each: what the search must mend.

`CASES` holds (name, right code, what is right, what stands there instead,
visible tests as (expression, value), hidden tests likewise).
"""

CASES = [
    (
        "has_close_pair",
        '''def has_close_pair(numbers, limit):
    """Whether two of the numbers are nearer to each other than the limit."""
    for at, first in enumerate(numbers):
        for other, second in enumerate(numbers):
            if at != other:
                if abs(first - second) < limit:
                    return True
    return False
''',
        "abs(first - second) <",
        "abs(first - second) >",
        [("has_close_pair([1.0, 2.0, 4.0], 0.5)", "False"), ("has_close_pair([1.0, 2.8, 3.0], 0.3)", "True")],
        [
            ("has_close_pair([], 1.0)", "False"),
            ("has_close_pair([5, 5], 0.1)", "True"),
            ("has_close_pair([1, 9], 3)", "False"),
        ],
    ),
    (
        "below_zero",
        '''def below_zero(steps):
    """Whether a balance that begins at zero ever falls below it."""
    balance = 0
    for step in steps:
        balance += step
        if balance < 0:
            return True
    return False
''',
        "balance += step",
        "balance -= step",
        [("below_zero([1, 2, 3])", "False"), ("below_zero([1, 2, -4, 5])", "True")],
        [("below_zero([])", "False"), ("below_zero([-1])", "True"), ("below_zero([3, -3])", "False")],
    ),
    (
        "fractional_part",
        '''def fractional_part(number):
    """What is left of a positive number without its whole part."""
    return number % 1.0
''',
        "number % 1.0",
        "number // 1.0",
        [("fractional_part(3.5)", "0.5"), ("fractional_part(7.25)", "0.25")],
        [("fractional_part(2.0)", "0.0"), ("fractional_part(0.75)", "0.75")],
    ),
    (
        "primes_below",
        '''def primes_below(limit):
    """Every prime number below a limit."""
    found = []
    for number in range(2, limit):
        for divisor in range(2, number):
            if number % divisor == 0:
                break
        else:
            found.append(number)
    return found
''',
        "number % divisor == 0",
        "number % divisor == 1",
        [("primes_below(10)", "[2, 3, 5, 7]"), ("primes_below(2)", "[]")],
        [("primes_below(20)", "[2, 3, 5, 7, 11, 13, 17, 19]"), ("primes_below(3)", "[2]")],
    ),
    (
        "longest",
        '''def longest(words):
    """The longest of some words, the first of several; None without any."""
    best = None
    for word in words:
        if best is None or len(word) > len(best):
            best = word
    return best
''',
        "len(word) > len(best)",
        "len(word) < len(best)",
        [("longest(['a', 'ccc', 'bb'])", "'ccc'"), ("longest(['aa', 'bb'])", "'aa'"), ("longest([])", "None")],
        [("longest(['x'])", "'x'"), ("longest(['a', 'bb', 'cc', 'ddd', 'eee'])", "'ddd'")],
    ),
    (
        "greatest_divisor",
        '''def greatest_divisor(a, b):
    """The greatest number that divides both."""
    while b:
        a, b = b, a % b
    return a
''',
        "a % b",
        "a // b",
        [("greatest_divisor(25, 15)", "5"), ("greatest_divisor(3, 7)", "1")],
        [("greatest_divisor(144, 60)", "12"), ("greatest_divisor(10, 0)", "10")],
    ),
    (
        "rolling_max",
        '''def rolling_max(numbers):
    """The greatest number so far, at each place."""
    highest = None
    result = []
    for number in numbers:
        highest = number if highest is None else max(highest, number)
        result.append(highest)
    return result
''',
        "max(highest, number)",
        "min(highest, number)",
        [("rolling_max([1, 2, 3, 2, 3, 4])", "[1, 2, 3, 3, 3, 4]")],
        [("rolling_max([4, 3, 2])", "[4, 4, 4]"), ("rolling_max([])", "[]")],
    ),
    (
        "counts_up",
        '''def counts_up(limit):
    """The numbers from 0 to the limit as one text."""
    return " ".join([str(number) for number in range(limit + 1)])
''',
        "range(limit + 1)",
        "range(limit)",
        [("counts_up(0)", "'0'"), ("counts_up(3)", "'0 1 2 3'")],
        [("counts_up(5)", "'0 1 2 3 4 5'")],
    ),
    (
        "is_palindrome",
        '''def is_palindrome(text):
    """Whether a text reads the same from both ends."""
    for at in range(len(text) // 2):
        if text[at] != text[len(text) - 1 - at]:
            return False
    return True
''',
        "len(text) - 1 - at",
        "len(text) - at",
        [("is_palindrome('aba')", "True"), ("is_palindrome('zbcd')", "False"), ("is_palindrome('')", "True")],
        [("is_palindrome('abba')", "True"), ("is_palindrome('ab')", "False")],
    ),
    (
        "total_and_product",
        '''def total_and_product(numbers):
    """Sum and product of the numbers."""
    total, product = 0, 1
    for number in numbers:
        total += number
        product *= number
    return total, product
''',
        "product = 0, 1",
        "product = 0, 0",
        [("total_and_product([1, 2, 3, 4])", "(10, 24)"), ("total_and_product([])", "(0, 1)")],
        [("total_and_product([10])", "(10, 10)"), ("total_and_product([3, 7])", "(10, 21)")],
    ),
    (
        "clamp",
        '''def clamp(value, low, high):
    """The value, held between two bounds."""
    if value < low:
        return low
    if value > high:
        return high
    return value
''',
        "return high",
        "return low",
        [("clamp(5, 0, 3)", "3"), ("clamp(-1, 0, 3)", "0"), ("clamp(2, 0, 3)", "2")],
        [("clamp(9, 1, 4)", "4"), ("clamp(0, 1, 4)", "1")],
    ),
    (
        "all_positive",
        '''def all_positive(numbers):
    """Whether every number is above zero."""
    for number in numbers:
        if number <= 0:
            return False
    return True
''',
        "    return True",
        "        return True",
        [("all_positive([1, -2])", "False"), ("all_positive([1, 2])", "True"), ("all_positive([])", "True")],
        [("all_positive([3, 2, 0])", "False"), ("all_positive([4])", "True")],
    ),
    (
        "initials",
        '''def initials(name):
    """The first letters of a name in capitals."""
    letters = []
    for word in name.split():
        letters.append(word[0].upper())
    return "".join(letters)
''',
        '    return "".join(letters)',
        '    "".join(letters)',
        [("initials('ada lovelace')", "'AL'"), ("initials('grace')", "'G'")],
        [("initials('a b c')", "'ABC'"), ("initials('')", "''")],
    ),
]


def faulty(case):
    """The code of a case with its slip."""
    name, code, right, wrong, _, _ = case
    assert code.count(right) == 1, name
    return code.replace(right, wrong)


def tests(name, pairs):
    """A test file with one test for each pair."""
    lines = [
        "import unittest",
        f"from {name} import {name}",
        "",
        f"class Test{name.title().replace('_', '')}(unittest.TestCase):",
    ]
    for number, (expression, value) in enumerate(pairs, 1):
        lines += [f"    def test_{number}(self):", f"        self.assertEqual({expression}, {value})"]
    return "\n".join(lines) + "\n"
