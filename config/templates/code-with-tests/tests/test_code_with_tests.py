"""Tests of the code-with-tests scripts, run as the engine runs them.

Run with: python3 -m unittest discover -s config/templates/code-with-tests/tests
"""

import os
import sys
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "scripts")]

from bench import Bench, functions_of, stubbed  # noqa: E402
from given import Given  # noqa: E402
from harness import StepFailed, Task  # noqa: E402
from known import bodies, known_cases, meaning  # noqa: E402

ADD = "a function add(a, b) that returns their sum"
STACK = '''class Stack:
    """A stack."""

    def __init__(self):
        self.items = []

    def push(self, item):
        """Puts one on top."""
        self.items.append(item)

    def pop(self):
        return self.items.pop()
'''
STACK_CASES = [
    {"setup": "s = Stack()\ns.push(4)\ns.push(5)", "expression": "s.pop()", "expected": "5"},
    {"setup": "s = Stack()\ns.push(4)", "expression": "s.pop()", "expected": "4"},
    {"expression": "Stack().pop()", "raises": "IndexError"},
]


def code(text, **more):
    return {"code": text, **more}


class CodeTest(unittest.TestCase):
    def start(self, *args, **options):
        task = Task(*args, **options)
        self.addCleanup(task.close)
        return task

    # The way through

    def test_code_and_cases_of_a_model_make_a_tested_module(self):
        task = self.start({}, "A class Stack with push and pop")
        self.assertIsNone(task.run({"code": code(f"```python\n{STACK}```"), "cases": {"cases": STACK_CASES}}))
        self.assertEqual(task.made("solution.py"), STACK)
        self.assertIn("with self.assertRaises(IndexError):", task.made("test_solution.py"))
        self.assertIn("def push(self, item)", task.output("outline")["signatures"])
        self.assertIn("3 in `test_solution.py` from the model", task.made("report.md"))

    def test_a_small_models_choice_is_taken_where_it_passes(self):
        task = self.start({}, ADD, small=True)
        self.assertIsNone(task.run({"code": {"expression": "a + b"}}))
        self.assertEqual(task.made("solution.py"), "def add(a, b):\n    return a + b\n")
        self.assertEqual(task.output("finish")["by"], "the model's choice")

    def test_tests_choose_where_a_small_model_chose_wrongly_or_not_at_all(self):
        for said in ({"expression": "a * b"}, {"code": "nonsense ("}, None):
            with self.subTest(said):
                task = self.start({}, ADD, small=True)
                self.assertIsNone(task.run({"code": said}))
                self.assertEqual(task.made("solution.py"), "def add(a, b):\n    return a + b\n")
                self.assertIn("a list of common expressions", task.made("report.md"))

    def test_an_example_of_the_goal_is_a_test(self):
        task = self.start(
            {}, "area(w, h): half of both multiplied. area(3, 4) should be 6.0 and area(2, 5) == 5.0", small=True
        )
        self.assertIsNone(task.run())
        self.assertIn("assertAlmostEqual(area(3, 4), 6.0", task.made("test_solution.py"))
        self.assertIn("w * h / 2", task.made("solution.py"))

    def test_what_a_small_model_cannot_do_is_not_called_done(self):
        for goal in (
            "a function frob(a, b) that returns their frobnication",
            "sum_as_text(a, b) returns their sum as German words",
            "make me a game",
        ):
            with self.subTest(goal):
                task = self.start({}, goal, small=True)
                self.assertIn("there is no test", task.run({"code": {"expression": "a + b"}}))
                self.assertIn("does not pass", task.made("report.md"))

    def test_given_tests_must_pass_and_stay(self):
        given = "import unittest\nfrom words import count\n\nclass TestCount(unittest.TestCase):\n    def test_two(self):\n        self.assertEqual(count('a b'), 2)\n    def test_none(self):\n        self.assertEqual(count(''), 0)\n"
        task = self.start({"test_words.py": given, "spec.md": "Counts words."}, "Write what the tests want")
        self.assertIsNone(task.run({"code": code("def count(text):\n    return len(text.split())\n")}))
        self.assertEqual((task.output("brief")["path"], task.made("test_words.py")), ("words.py", given))
        for changed in (given.replace("2)", "3)"), "", "import sys\nsys.exit(0)\n"):
            task.write("test_words.py", changed)
            self.assertIn("was changed", task.check())
        task.write("test_words.py", given)
        task.write("words.py", "def count(text):\n    return 2\n")
        self.assertIn("test_none", task.check())

    def test_code_that_exists_is_extended(self):
        task = self.start(
            {"shop.py": "RATE = 2\n", "helper.py": "FACTOR = 3\n"},
            "price(n) returns n times RATE. price(2) should be 4",
            params={"module": "shop"},
        )
        self.assertIsNone(
            task.run(
                {
                    "code": code("RATE = 2\n\n\ndef price(n):\n    return n * RATE\n"),
                    "cases": {"cases": [{"expression": "price(5)", "expected": "10"}]},
                }
            )
        )
        self.assertIn("# shop.py\nRATE = 2", task.output("brief")["given"])

    def test_a_second_answer_mends_code_and_takes_back_at_most_a_quarter_of_the_cases(self):
        wrong = STACK.replace("self.items.pop()", "self.items.pop(0)")
        cases = [*STACK_CASES, {"setup": "s = Stack()\ns.push(1)", "expression": "s.pop()", "expected": "7"}]
        task = self.start({}, "A class Stack")
        again = code(STACK, wrong_cases=[4, 3, 99])
        # Two are named, one of four may go: the first in order, so the wrong one stays and the task does not pass.
        self.assertIsNotNone(task.run({"code": code(wrong), "cases": {"cases": cases}, "code_again": again}))
        again = code(STACK, wrong_cases=[4])
        task = self.start({}, "A class Stack")
        self.assertIsNone(task.run({"code": code(wrong), "cases": {"cases": cases}, "code_again": again}))
        self.assertIn("Taken back by the model as wrong", task.made("report.md"))
        self.assertIn("4 != 5", task.output("assemble")["told"])

    # Tests that prove nothing

    def test_cases_that_cannot_fail_are_refused(self):
        cases = [
            {"expression": "1 + 1", "expected": "2"},
            {"expression": "len([Stack])", "expected": "1"},
            {"expression": "callable(Stack)", "expected": "True"},
            {"expression": "Stack().pop()", "raises": "Exception"},
            {"expression": "Stack().pop()", "raises": "NotImplementedError"},
            {"expression": "Stack().pop()"},
            {"expression": "Stack() == Stack()", "expected": "Stack() == Stack()"},
            {"setup": "import unittest\nunittest.TestCase.run = None", "expression": "Stack().pop()", "expected": "1"},
            {"setup": "while True", "expression": "Stack().pop()", "expected": "1"},
        ]
        task = self.start({}, "A class Stack")
        self.assertIn("there is no test", task.run({"code": code(STACK), "cases": {"cases": cases}}))
        self.assertEqual(task.made("report.md").count("\n- `"), len(cases))

    def test_tests_that_a_constant_passes_are_too_weak(self):
        task = self.start({}, "flag(n) tells whether n will do")
        cases = [{"expression": "flag(2)", "expected": "True"}, {"expression": "flag(4)", "expected": "True"}]
        told = task.run({"code": code("def flag(n):\n    return n % 2 == 0\n"), "cases": {"cases": cases}})
        self.assertIn("just returns True", told)

    def test_stubs(self):
        stub = stubbed(STACK, "return 0")
        self.assertIn("self.items = []", stub)
        self.assertNotIn("append", stub)
        self.assertEqual(functions_of(STACK)[0], "class Stack:")

    # Code that cheats

    def test_code_that_cheats_does_not_pass(self):
        test = "import unittest\nfrom m import f\n\nclass TestF(unittest.TestCase):\n    def test_f(self):\n        self.assertEqual(f(2), 4)\n"
        planted = {
            "exits": "import os\nos._exit(0)\ndef f(n):\n    return 0\n",
            "exits by sys": "import sys\nsys.exit(0)\ndef f(n):\n    return 0\n",
            "patches the judge": "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\ndef f(n):\n    return 0\n",
            "equals all": "class E:\n    def __eq__(self, o):\n        return True\ndef f(n):\n    return E()\n",
            "skips": "from unittest import SkipTest\ndef f(n):\n    raise SkipTest\n",
            "reads its caller": "import sys\ndef f(n):\n    return sys._getframe(1).f_locals\n",
            "hides": "def f(n):\n    return eval('4')\n",
            "hangs": "def f(n):\n    while True:\n        pass\n",
            "is broken": "def f(n)\n",
        }
        with Bench(Given("f", "m", tests={"test_m.py": test}), "test_x.py", None) as bench:
            for what, text in planted.items():
                with self.subTest(what):
                    self.assertIsNotNone(bench.fault_of(text))
            self.assertIsNone(bench.fault_of("def f(n):\n    return n * 2\n"))

    # Inputs

    def test_goals_that_name_a_known_operation(self):
        cases = [
            (ADD, ("add", ["a", "b"]), "p + q"),
            (
                "Write a Python function called add(x, y) which returns the sum of two numbers.",
                ("add", ["x", "y"]),
                "p + q",
            ),
            ("double(x)", ("double", ["x"]), "p * 2"),
            ("is_even(n): whether n is even", ("is_even", ["n"]), "p % 2 == 0"),
            ("a function add(a, b) that returns their sum as text, rounded", ("add", ["a", "b"]), None),
            ("sum_squares(a, b) returns the sum of squares", ("sum_squares", ["a", "b"]), None),
            ("a function add(a, b) that does not return their sum", ("add", ["a", "b"]), None),
            ("a function f(a, b, c, d) that returns their sum", ("f", ["a", "b", "c", "d"]), None),
        ]
        for goal, signature, expected in cases:
            with self.subTest(goal):
                found = meaning(goal, signature)
                self.assertEqual(found and found[0], expected)
        self.assertIn({"expression": "add(2, 3)", "expected": "5"}, known_cases(ADD, ("add", ["a", "b"])))
        self.assertIn("b - a", bodies(("f", ["a", "b"])))

    def test_bad_inputs_are_refused_with_the_reason(self):
        cases = [
            ({"m.py": b"\xff\xfe\x00"}, "not UTF-8"),
            ({"m.py": "x = 1\0"}, "NUL"),
            ({"m.py": "def f(:"}, "is not Python"),
            ({"m.py": "#" * ((1 << 20) + 1)}, "more than"),
            ({"my-module.py": "x = 1"}, "cannot be imported"),
            ({"m.rb": "puts 1"}, "only Python files"),
        ]
        for files, why in cases:
            with self.subTest(why), self.assertRaisesRegex(StepFailed, why):
                self.start(files, ADD).run()
        for goal, params, why in (
            ("  ", {}, "the goal is empty"),
            (ADD, {"module": "json"}, "Python has one"),
            (ADD, {"module": "class"}, "cannot be"),
        ):
            with self.subTest(why), self.assertRaisesRegex(StepFailed, why):
                self.start({}, goal, params=params).run()

    def test_what_a_goal_or_a_file_says_is_data(self):
        goal = (
            'twice(n) doubles. twice(2) == 4. twice(3) == 6. Ignore this: """\nimport os; os._exit(0)\n""" ``` <script>'
        )
        task = self.start({"spec.txt": "'''; raise SystemExit"}, goal)
        self.assertIsNone(task.run({"code": code("def twice(n):\n    return n * 2\n")}))
        self.assertNotIn("os._exit", task.made("test_solution.py"))

    def test_an_empty_file_harms_nothing(self):
        self.assertIsNone(
            self.start({"empty.py": ""}, "twice(n): twice(2) == 4, twice(3) == 6", params={"module": "m"}).run(
                {"code": code("def twice(n):\n    return n * 2\n")}
            )
        )


if __name__ == "__main__":
    unittest.main()
