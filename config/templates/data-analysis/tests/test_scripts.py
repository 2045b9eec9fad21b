"""Tests of the data-analysis scripts, run as the engine runs them.

Each step is a process with NINJA_REQUEST set and the workspace as its working
directory; only the prose checker and the cell readers are called directly.
Run with: python3 -m unittest discover -s config/templates/data-analysis/tests
"""

import csv
import hashlib
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

sys.dont_write_bytecode = True
TEMPLATE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPTS = os.path.join(TEMPLATE, "scripts")
PENGUINS = os.path.join(TEMPLATE, "..", "..", "..", "examples", "penguins.csv")
sys.path.append(SCRIPTS)

import cells  # noqa: E402
import document  # noqa: E402
import plan as plans  # noqa: E402
import statistic  # noqa: E402
import tables  # noqa: E402
import words  # noqa: E402
from chart import draw_chart  # noqa: E402
from dialect import unique_names  # noqa: E402
from prose import Checker, split_sentences  # noqa: E402
from results import compute_result  # noqa: E402


class StepFailed(Exception):
    """A script exited with an error; the message is its last line."""


class Run:
    """One task over one file in a workspace of its own."""

    def __init__(self, content, question="How many rows?", name="data.csv", params=None):
        self._directory = tempfile.TemporaryDirectory()
        self.workspace = os.path.join(self._directory.name, "workspace")
        inputs = os.path.join(self.workspace, "inputs")
        os.makedirs(inputs)
        data = content if isinstance(content, bytes) else content.encode("utf-8")
        with open(os.path.join(inputs, name), "wb") as handle:
            handle.write(data)
        self.request = {
            "goal": question,
            "params": params or {},
            "inputs": [
                {
                    "path": f"inputs/{name}",
                    "name": name,
                    "bytes": len(data),
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
            ],
            "steps": {},
            "provider": {"name": "local", "model": "test-model"},
        }

    def close(self):
        self._directory.cleanup()

    def step(self, step_id):
        path = os.path.join(self._directory.name, "request.json")
        with open(path, "w", encoding="utf-8") as handle:
            json.dump(self.request, handle)
        done = subprocess.run(
            [sys.executable, "-B", os.path.join(SCRIPTS, f"{step_id}.py")],
            cwd=self.workspace,
            env={"NINJA_REQUEST": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StepFailed(done.stderr.strip().splitlines()[-1])
        assert len(done.stdout) < 64 * 1024, "a step's output must stay below 64 KB"
        output = json.loads(done.stdout)
        self.finish(step_id, output)
        return output

    def finish(self, step_id, output, status="succeeded"):
        self.request["steps"][step_id] = {"status": status, "output": output}

    def profile(self):
        return self.step("profile")

    def answer(self, choice=None, prose="", pick=0):
        """Every step; without a choice, the enum values at `pick`."""
        profile = self.profile()
        if profile["answerable"]:
            enums = {name: spec["enum"] for name, spec in profile["schema"]["properties"].items()}
            self.finish("choose", choice or {name: enum[pick % len(enum)] for name, enum in enums.items()})
        else:
            self.finish("choose", None, "skipped")
        output = self.step("compute")
        self.finish("write", prose if output["computed"] else None)
        self.step("report")
        return output

    def read(self, name):
        with open(os.path.join(self.workspace, name), encoding="utf-8", newline="") as handle:
            return handle.read()

    def analysis(self):
        return json.loads(self.read("analysis.json"))

    def table(self):
        """The rows of the result as {first cell: the rest}."""
        return {row[0]: row[1:] for row in self.analysis()["result"]["rows"]}


class ScriptTest(unittest.TestCase):
    """Gives each test runs that clean up after themselves."""

    def run_on(self, content, question="How many rows?", **options):
        run = Run(content, question, **options)
        self.addCleanup(run.close)
        return run

    def profile_of(self, content, **options):
        return self.run_on(content, **options).profile()

    def column(self, profile, name):
        return next(column for column in profile["columns"] if column["name"] == name)


class Dialects(ScriptTest):
    """Files as different programs and places write them."""

    def assert_sum(self, content, expected, delimiter, **options):
        run = self.run_on(content, "total amount by city", **options)
        run.answer()
        profile = run.request["steps"]["profile"]["output"]
        self.assertEqual(profile["dialect"]["delimiter"], delimiter)
        self.assertEqual({city: row[0] for city, row in run.table().items()}, expected)
        return profile

    def test_each_delimiter(self):
        for delimiter in ",;\t|":
            text = "city,amount\nRome,1.5\nOslo,2\nRome,3\n".replace(",", delimiter)
            with self.subTest(delimiter=delimiter):
                self.assert_sum(text, {"Rome": 4.5, "Oslo": 2}, delimiter)

    def test_decimal_comma_with_thousands(self):
        text = "city;amount\nRom;1.234,56\nOslo;2,5\nRom;-0,06\n"
        profile = self.assert_sum(text, {"Rom": 1234.5, "Oslo": 2.5}, ";")
        self.assertEqual(profile["dialect"]["decimal"], ",")

    def test_decimal_comma_within_quotes_and_commas(self):
        text = 'city,amount\nRom,"1,5"\nOslo,"2,25"\nRom,"3,5"\n'
        self.assert_sum(text, {"Rom": 5, "Oslo": 2.25}, ",")

    def test_thousands_currency_and_percent(self):
        text = 'city,amount\nRome,"$1,234.50"\nOslo,12%\nRome,"(34.50)"\nOslo,"2,000,000"\n'
        self.assert_sum(text, {"Rome": 1200, "Oslo": 2000012}, ",")

    def test_quotes_delimiters_and_newlines_within_fields(self):
        text = 'city,note,amount\n"Rome, old","a ""big"" one;\nwith, lines",1\nOslo,"x;y;z",2\n"Rome, old",plain,3\n'
        self.assert_sum(text, {"Rome, old": 4, "Oslo": 2}, ",")

    def test_encodings(self):
        text = "city,amount\nZürich,1\nMálaga,2\nZürich,4\n"
        expected = {"Zürich": 5, "Málaga": 2}
        names = {
            "utf-8": "utf-8", "utf-8-sig": "utf-8-sig", "utf-16": "utf-16", "cp1252": "cp1252", "utf-32": "utf-32",
        }
        for encoding, detected in names.items():
            with self.subTest(encoding=encoding):
                profile = self.assert_sum(text.encode(encoding), expected, ",")
                self.assertEqual(profile["file"]["encoding"], detected)

    def test_bytes_that_only_latin_1_defines(self):
        profile = self.profile_of(b"city,amount\nA\x81,1\nB,2\n")
        self.assertEqual(profile["file"]["encoding"], "latin-1")

    def test_utf_16_big_endian(self):
        self.assert_sum(b"\xfe\xff" + "city\tamount\nÅ\t1\n".encode("utf-16-be"), {"Å": 1}, "\t")

    def test_line_ends(self):
        for end in ("\r\n", "\r"):
            with self.subTest(end=repr(end)):
                self.assert_sum("city,amount\nA,1\nB,2\n".replace("\n", end), {"A": 1, "B": 2}, ",")

    def test_excel_declaration(self):
        self.assert_sum("sep=;\r\ncity;amount\r\nA;1\r\nA;2\r\n", {"A": 3}, ";")

    def test_spaces_after_delimiters(self):
        self.assert_sum('city, amount\n"A, b", 1\n"A, b", 2\n', {"A, b": 3}, ",")

    def test_parameters_override_detection(self):
        params = {"delimiter": "pipe", "decimal": "comma"}
        self.assert_sum("city|amount\nA|1,500\nB|2,250\n", {"A": 1.5, "B": 2.25}, "|", params=params)

    def test_text_with_commas_in_a_semicolon_file(self):
        text = "city;amount\n" + "".join(f"Place {n}, north, old;{n}\n" for n in range(5))
        profile = self.profile_of(text)
        self.assertEqual(profile["dialect"]["delimiter"], ";")

    def test_one_column_of_names_with_commas(self):
        profile = self.profile_of("name\n" + "Smith, John\nJones, Ann\n" * 5)
        self.assertEqual(profile["file"]["columns"], 1)
        self.assertEqual(profile["file"]["rows"], 10)

    def test_r_row_names(self):
        profile = self.profile_of("mpg,cyl\nMazda,21,6\nDatsun,22.8,4\n")
        self.assertEqual([c["name"] for c in profile["columns"]], ["row_name", "mpg", "cyl"])


class Oddities(ScriptTest):
    """Files that are broken, empty or not tables at all."""

    def assert_fails(self, content, message):
        with self.assertRaisesRegex(StepFailed, message):
            self.profile_of(content)

    def test_files_that_cannot_be_read(self):
        self.assert_fails(b"", "empty")
        self.assert_fails("\n\n  \n", "empty")
        self.assert_fails(b"PK\x03\x04" + bytes(100), "Excel")
        self.assert_fails(bytes(range(256)) * 10, "binary")
        self.assert_fails(b"%PDF-1.7\n", "PDF")

    def test_too_many_columns(self):
        self.assert_fails(",".join(f"c{n}" for n in range(6_000)) + "\n", "columns")

    def test_a_quote_that_never_closes(self):
        with self.assertRaisesRegex(StepFailed, "quote"):
            self.profile_of('a,b\n1,2\n' * 30_000 + '"open' + "x,1\n" * 3_000_000)

    def test_header_only_gives_a_report(self):
        run = self.run_on("city,amount\n", "average amount")
        self.assertFalse(run.answer()["computed"])
        self.assertIn("no rows", run.read("report.md"))
        self.assertFalse(os.path.exists(os.path.join(run.workspace, "chart.svg")))

    def test_no_header(self):
        profile = self.profile_of("1,2.5\n3,4.5\n")
        self.assertEqual([c["name"] for c in profile["columns"]], ["column_1", "column_2"])
        self.assertEqual(profile["file"]["rows"], 2)

    def test_missing_values(self):
        run = self.run_on("v,w\n1,a\nNA,\nN/A,b\nnull,-\nnan,?\n3,c\n,d\n", "mean v")
        run.answer()
        profile = run.request["steps"]["profile"]["output"]
        self.assertEqual(self.column(profile, "v")["missing"], 5)
        self.assertEqual(self.column(profile, "w")["missing"], 3)
        self.assertEqual(run.table()["all rows"], [2, 2])

    def test_ragged_rows_are_counted(self):
        run = self.run_on("a,b\n1,2\n3\n4,5,6\n7,8,\n\n9,10\n", "sum of b")
        run.answer()
        facts = run.request["steps"]["profile"]["output"]["file"]
        self.assertEqual((facts["rows"], facts["short_rows"], facts["long_rows"], facts["blank_lines"]), (5, 1, 1, 1))
        self.assertEqual(run.table()["all rows"][0], 25)
        self.assertIn("1 too short", run.read("report.md"))

    def test_names_are_made_unique(self):
        names = unique_names(["a", "", "A", "none", " b\n c ", "a_2"])
        self.assertEqual(names, ["a", "column_2", "A_2", "none_2", "b c", "a_2_2"])

    def test_one_column(self):
        run = self.run_on("height\n1\n2\n4\n", "median height")
        run.answer()
        self.assertEqual(run.table()["all rows"][0], 2)

    def test_wide_file(self):
        header = ",".join(f"reading_{n}_mm" for n in range(300)) + ",target_value"
        rows = "\n".join(",".join(["1"] * 300 + [str(n)]) for n in range(4))
        run = self.run_on(f"{header}\n{rows}\n", "tell me about target and correlations")
        profile = run.profile()
        enum = profile["schema"]["properties"]["value_column"]["enum"]
        self.assertLessEqual(len(enum), 40)
        self.assertEqual(enum[0], "target_value")
        self.assertLess(len(profile["menu"]), 2_000)

    def test_nul_bytes_and_huge_numbers(self):
        run = self.run_on("a,b\n" + "1,2\n" * 30_000 + "1e308,\x00 3\n1e999,inf\n", "sum of b")
        run.answer()
        self.assertEqual(run.table()["all rows"][0], 60_003)


class Kinds(ScriptTest):
    """What a column is taken for."""

    def test_kinds(self):
        header = "id,code,when,flag,colour,note,size,whole,year,gap"
        rows = [
            f"{n + 1},0{n:03d},2020-01-{n + 1:02d},{'yes' if n % 2 else 'no'},{'red' if n % 3 else 'blue'},"
            f'"free text, number {n}",{n + 0.5},{n % 7},{2000 + n % 5},'
            for n in range(28)
        ]
        profile = self.profile_of("\n".join([header] + rows) + "\n")
        kinds = {column["name"]: column["kind"] for column in profile["columns"]}
        self.assertEqual(kinds["id"], "id")
        self.assertEqual(kinds["when"], "date")
        self.assertEqual(kinds["flag"], "boolean")
        self.assertEqual(kinds["colour"], "category")
        self.assertEqual(kinds["size"], "number")
        self.assertEqual(kinds["whole"], "integer")
        self.assertEqual(kinds["gap"], "empty")
        self.assertNotIn(kinds["code"], ("integer", "number"))
        self.assertTrue(self.column(profile, "year")["year"])

    def test_a_few_unreadable_cells_are_counted(self):
        profile = self.profile_of("v\n" + "1.5\n" * 99 + "oops\n")
        self.assertEqual(self.column(profile, "v")["kind"], "number")
        self.assertEqual(self.column(profile, "v")["unreadable"], 1)

    def test_date_forms(self):
        forms = ["2020-03-04", "2020/03/04", "04.03.2020", "4 Mar 2020", "March 4, 2020", "2020-03-04T10:00:00Z"]
        for form in forms:
            self.assertEqual(cells.date_parser("dmy")(form).isoformat(), "2020-03-04", form)
        self.assertEqual(cells.date_parser("mdy")("03/04/2020").isoformat(), "2020-03-04")
        self.assertEqual(cells.date_parser("mdy")("03/04/99").isoformat(), "1999-03-04")
        for form in ("2020-13-01", "hello world", "99/99/2020", "May be 2020"):
            self.assertIsNone(cells.date_parser("dmy")(form), form)

    def test_number_forms(self):
        point, comma = cells.number_parser("."), cells.number_parser(",")
        expected = {"1,234.5": 1234.5, "-5": -5, "€ 3": 3, "1 234": 1234, "(7)": -7, "2e3": 2000, "-1,234": -1234}
        for text, number in expected.items():
            self.assertEqual(point(text), number, text)
        for text in ("1,23", "12,345,6", "inf", "nan", "1_000", "12 34", "abc", "1-2", "1e200"):
            self.assertIsNone(point(text), text)
        for text, number in {"1.234,5": 1234.5, "0,5": 0.5, "-1.234": -1234, "12": 12}.items():
            self.assertEqual(comma(text), number, text)
        for text in ("1,2,3", "1.23", "1.2345"):
            self.assertIsNone(comma(text), text)

    def test_ambiguous_dates_follow_the_file(self):
        run = self.run_on("day,v\n03/04/2020,1\n25/04/2020,2\n", "total v per month")
        run.answer()
        self.assertEqual(run.table(), {"2020-04": [3, 2]})


class Penguins(ScriptTest):
    """Questions in plain English over the example file, recomputed here."""

    @classmethod
    def setUpClass(cls):
        with open(PENGUINS, encoding="utf-8", newline="") as handle:
            cls.content = handle.read()
        cls.rows = list(csv.DictReader(cls.content.splitlines()))

    def ask(self, question, pick=0):
        run = self.run_on(self.content, question, name="penguins.csv")
        self.output = run.answer(pick=pick)
        self.schema = run.request["steps"]["profile"]["output"]["schema"]
        return run

    def numbers(self, name, **where):
        rows = [row for row in self.rows if all(row[key] == value for key, value in where.items())]
        return [float(row[name]) for row in rows if row[name] != "NA"]

    def assert_forced(self):
        for name, spec in self.schema["properties"].items():
            self.assertEqual(len(spec["enum"]), 1, name)

    def test_mean_by_group(self):
        run = self.ask("What is the average body mass of each species?")
        self.assert_forced()
        for species in ("Adelie", "Chinstrap", "Gentoo"):
            numbers = self.numbers("body_mass_g", species=species)
            self.assertAlmostEqual(run.table()[species][0], statistics.mean(numbers), places=6)
            self.assertEqual(run.table()[species][1], len(numbers))
        self.assertIn("5,076.02, for species Gentoo", self.output["answer"])

    def test_each_aggregate(self):
        names = {
            "median": statistics.median, "lowest": min, "highest": max, "total": sum, "typical": statistics.mean,
        }
        for word, function in names.items():
            with self.subTest(word=word):
                run = self.ask(f"What is the {word} flipper length?")
                self.assert_forced()
                self.assertAlmostEqual(run.table()["all rows"][0], function(self.numbers("flipper_length_mm")), places=6)

    def test_count_by_group(self):
        run = self.ask("Which island has the most penguins?")
        self.assert_forced()
        self.assertEqual({key: row[0] for key, row in run.table().items()}, {"Biscoe": 168, "Dream": 124, "Torgersen": 52})
        self.assertIn("have island Biscoe", self.output["answer"])

    def test_count_with_filters(self):
        self.ask("How many Adelie penguins are there on Dream?")
        self.assert_forced()
        expected = sum(row["species"] == "Adelie" and row["island"] == "Dream" for row in self.rows)
        self.assertIn(f"{expected} of 344 rows", self.output["answer"])

    def test_count_above_a_number(self):
        self.ask("How many penguins have a body mass over 4,000?")
        expected = sum(number > 4000 for number in self.numbers("body_mass_g"))
        self.assertIn(f"{expected} of 344 rows", self.output["answer"])

    def test_filter_by_year(self):
        run = self.ask("mean flipper length in 2008")
        expected = statistics.mean(self.numbers("flipper_length_mm", year="2008"))
        self.assertAlmostEqual(next(iter(run.table().values()))[0], expected, places=6)

    def test_share(self):
        run = self.ask("What percentage of Adelie penguins are female?")
        self.assert_forced()
        adelie = [row for row in self.rows if row["species"] == "Adelie"]
        female = sum(row["sex"] == "female" for row in adelie)
        self.assertAlmostEqual(run.table()["female"][1], 100 * female / len(adelie), places=6)
        self.assertIn(f"{female} of {len(adelie)}", self.output["answer"])

    def test_correlation(self):
        run = self.ask("relationship between bill length and bill depth")
        self.assert_forced()
        self.assertAlmostEqual(run.table()["Pearson correlation"][0], -0.235053, places=5)

    def test_trend(self):
        run = self.ask("body mass over time")
        self.assert_forced()
        self.assertEqual(list(run.table()), ["2007", "2008", "2009"])
        self.assertAlmostEqual(run.table()["2009"][0], statistics.mean(self.numbers("body_mass_g", year="2009")), places=6)

    def test_distribution(self):
        run = self.ask("distribution of body mass")
        row = run.table()["all rows"]
        quartiles = statistics.quantiles(self.numbers("body_mass_g"), n=4, method="inclusive")
        self.assertEqual([row[3], row[4], row[5]], quartiles)
        self.assertAlmostEqual(row[7], statistics.stdev(self.numbers("body_mass_g")), places=6)

    def test_standard_deviation_is_part_of_the_distribution(self):
        self.ask("What is the standard deviation of bill depth?")
        self.assert_forced()
        self.assertIn("the standard deviation 1.97", self.output["answer"])

    def test_number_of_different_values(self):
        self.ask("How many species are there?")
        self.assertIn("There are 3 different values of species", self.output["answer"])

    def test_two_values_are_compared(self):
        run = self.ask("Compare Adelie and Gentoo by flipper length")
        self.assertEqual(run.analysis()["choice"]["by_column"], "species")

    def test_lowest_first(self):
        self.ask("Which species has the lowest average body mass?")
        self.assertTrue(self.output["answer"].startswith("The lowest"), self.output["answer"])

    def test_what_cannot_be_answered(self):
        run = self.ask("Predict the body mass next year")
        self.assertIn("forecast", run.read("report.md"))
        self.assertTrue(self.output["computed"])
        run = self.ask("Who is the CEO?")
        report = run.read("report.md")
        self.assertIn("No word of the question matches", report)
        self.assertIn('"CEO"', report)

    def test_cannot_is_offered_when_nothing_matches(self):
        run = self.ask("Who is the CEO?", pick=-1)
        self.assertEqual(run.analysis()["choice"]["operation"], "cannot")
        self.assertFalse(self.output["computed"])
        self.assertIn("None of the operations", run.read("report.md"))

    def test_report_holds_the_essentials(self):
        run = self.ask("What is the average body mass of each species?")
        report = run.read("report.md")
        sha256 = run.request["inputs"][0]["sha256"]
        for text in ("penguins.csv", "344 rows", "5,076.02", "3,700.66", "(chart.svg)", sha256, "body_mass_g"):
            self.assertIn(text, report)
        self.assertEqual(
            sorted(os.listdir(run.workspace)), ["analysis.json", "chart.svg", "inputs", "report.md", "table.csv"]
        )

    def test_report_without_a_model(self):
        run = self.run_on(self.content, "mean body mass by species", name="penguins.csv")
        run.profile()
        run.finish("choose", None, "failed")
        self.assertTrue(run.step("compute")["computed"])
        run.finish("write", None, "failed")
        run.step("report")
        report = run.read("report.md")
        self.assertIn("the writing step was failed", report)
        self.assertIn("gave no valid choice", report)

    def test_planted_wrong_number_is_struck(self):
        run = self.run_on(self.content, "mean body mass by species", name="penguins.csv")
        run.answer(prose="Gentoo averages 5,076 g. Adelie averages 9,999 g.")
        report = run.read("report.md")
        self.assertIn("~~Adelie averages 9,999 g.~~ 9,999 is not a figure", report)
        self.assertIn("\nGentoo averages 5,076 g.\n", report)
        self.assertIn("local / test-model", report)


class Reading(ScriptTest):
    """Words of questions over other files."""

    ORDERS = "Order ID,OrderDate,Region,unit_price_eur,Units,Total Sales\n" + "".join(
        f"{n},{2020 + n % 3}-0{1 + n % 9}-1{n % 10},{'North South East'.split()[n % 3]},{n % 7 + .5},{n % 4},{n * 2.5}\n"
        for n in range(1, 60)
    )

    def choice(self, question, content=None):
        profile = self.profile_of(content or self.ORDERS, question=question)
        return {name: spec["enum"] for name, spec in profile["schema"]["properties"].items()}

    def test_camel_case_plural_and_units(self):
        self.assertEqual(words.name_words("unitPrices_eur"), ["unit", "price"])
        choice = self.choice("average unit prices per region")
        self.assertEqual((choice["value_column"], choice["by_column"]), (["unit_price_eur"], ["Region"]))

    def test_total_is_a_column_and_an_operation(self):
        choice = self.choice("total sales by region")
        self.assertEqual((choice["operation"], choice["value_column"]), (["sum"], ["Total Sales"]))
        choice = self.choice("average total sales by region")
        self.assertEqual((choice["operation"], choice["value_column"]), (["mean"], ["Total Sales"]))

    def test_period(self):
        run = self.run_on(self.ORDERS, "total sales per year")
        run.answer()
        self.assertEqual(list(run.table()), ["2020", "2021", "2022"])
        run = self.run_on(self.ORDERS, "quarterly total sales")
        run.answer()
        self.assertEqual(list(run.table())[0], "2020-Q1")

    def test_since_a_year_of_a_date_column(self):
        run = self.run_on(self.ORDERS, "how many orders since 2021")
        run.answer()
        self.assertEqual(next(iter(run.table().values()))[0], sum(n % 3 > 0 for n in range(1, 60)))

    def test_unique_groups_make_the_superlative_exact(self):
        countries = "country,population\n" + "".join(f"Land{n},{n * 1000}\n" for n in range(1, 90))
        choice = self.choice("Which country has the highest population?", countries)
        self.assertEqual((choice["operation"], choice["by_column"]), (["max"], ["country"]))

    def test_two_operations_are_a_stated_limit(self):
        profile = self.profile_of(self.ORDERS, question="mean and median of units")
        self.assertIn("One run computes one operation", " ".join(profile["reading"]["limits"]))

    def test_condition_without_a_column(self):
        profile = self.profile_of(self.ORDERS, question="how many over 100?")
        self.assertIn("over 100", " ".join(profile["reading"]["limits"]))

    def test_operation_the_file_cannot_do(self):
        choice = self.choice("correlation", "name\nann\nbob\n")
        self.assertIn("cannot", choice["operation"])

    def test_long_column_names_become_short_labels(self):
        header = ",".join(f'"How satisfied were you with the service you received at desk {n}?"' for n in range(3))
        choice = self.choice("overview", header + "\n1,2,3\n2,3,4\n")
        self.assertTrue(all(len(label) <= 52 for label in choice["value_column"]))
        self.assertEqual(len(set(choice["value_column"])), 3)


class EveryChoice(ScriptTest):
    """Each choice a schema permits gives a result or says why not."""

    FILES = {
        "mixed": "name,day,group,flag,v,w,year\n"
        + "".join(f"n{n},2020-01-{n + 1:02d},g{n % 3},{n % 2 == 0},{n * 1.5 - 9},{n % 4},{2000 + n % 3}\n" for n in range(25)),
        "gaps": "a;b;c\n;;\nNA;x;1,5\n-;;2,5\n;y;\n",
        "constant": "k,v,w\nx,1,1\nx,1,1\nx,1,1\nx,1,2\n",
        "one column": "v\n1\n2\n",
        "text only": "a,b\nfoo,bar baz\nqux,bar baz\n",
        "one row": "day,v,w\n2020-01-01,5,6\n",
        "hostile": 'a<b>,"=cmd|x","](javascript:1)",v\n<script>,"=1+1","| x |",1\n"-2\n3","@x","`y`",1e99\n&amp;,"]]>",\x0bq,-1e99\n',
        "tiny numbers": "x,y\n1e-99,1e99\n2e-99,-1e99\n3e-99,1e-99\n",
    }

    def test_every_choice(self):
        for name, content in self.FILES.items():
            for question in ("Who is the CEO?", "average v by group over time", "share and correlation"):
                with self.subTest(file=name, question=question):
                    self.check_every_choice(content, question)

    def check_every_choice(self, content, question):
        run = self.run_on(content, question)
        profile = run.profile()
        enums = [spec["enum"] for spec in profile["schema"]["properties"].values()]
        path = os.path.join(run.workspace, "inputs", "data.csv")
        for values in itertools.product(*enums):
            choice = dict(zip(profile["schema"]["properties"], values))
            try:
                plan = plans.make_plan(choice, profile)
                result = compute_result(path, plan, profile)
            except plans.CannotAnswer as reason:
                self.assertRegex(str(reason), r"^[A-Z].*\.$|\.$")
                continue
            self.assertTrue(result.rows and result.sentences, choice)
            self.assertTrue(all(len(row) == len(result.columns) for row in result.rows), choice)
            json.dumps([result.rows, result.facts], allow_nan=False)
            ElementTree.fromstring(draw_chart(result.chart, result.title, " ".join(result.sentences)))
            checker = Checker({**vars(result), "rows_total": len(result.rows)}, self.file_facts(profile), self.names(profile))
            for verdict in checker.check(" ".join(result.sentences)):
                self.assertIsNone(verdict.reason, (choice, verdict))

    @staticmethod
    def file_facts(profile):
        return [profile["file"]["rows"]] + [condition["value"] for condition in profile["conditions"]]

    @staticmethod
    def names(profile):
        return [column["name"] for column in profile["columns"]]

    def test_whole_runs_with_random_choices(self):
        chooser = random.Random(7)
        for name, content in self.FILES.items():
            with self.subTest(file=name):
                run = self.run_on(content, "What about this?")
                run.answer(pick=chooser.randrange(50), prose="It is 12345.678 | <b>so</b>.")
                report = run.read("report.md")
                self.assertNotIn("<script>", report)
                self.assertNotIn("<b>", report)
                self.assertIn("data.csv", report)

    def test_an_invalid_choice_falls_back_to_the_first(self):
        run = self.run_on(self.FILES["mixed"], "What about this?")
        run.answer(choice={"operation": "drop table"})
        self.assertIn("gave no valid choice", run.read("report.md"))


class Prose(unittest.TestCase):
    """The check of sentences against figures."""

    def setUp(self):
        result = {
            "rows": [["North", 1234.567, 12], ["South", -45.5, 30], ["2019 plan", 35000, 8]],
            "rows_total": 3,
            "columns": ["region", "mean of v2", "values"],
            "title": "mean of v2 by region",
            "facts": [50],
            "ranked_by": 1,
        }
        self.checker = Checker(result, [344, 0.875], ["v2", "file_2020.csv"])
        self.strict = Checker(result, [344, 0.875], ["v2", "file_2020.csv"], needs_figure=True)

    def test_where_a_figure_is_needed_a_claim_without_one_is_struck(self):
        claim, figure = self.strict.check("All regions are the same region. North averages 1,234.567.")
        self.assertIn("no figure", claim.reason)
        self.assertIsNone(figure.reason)
        self.assert_kept("All regions are the same region.")

    def reasons(self, text):
        return [verdict.reason for verdict in self.checker.check(text)]

    def assert_kept(self, text):
        self.assertEqual(self.reasons(text), [None], text)

    def assert_struck(self, text, why=""):
        reasons = self.reasons(text)
        self.assertEqual(len(reasons), 1, text)
        self.assertIsNotNone(reasons[0], text)
        self.assertIn(why, reasons[0])

    def test_numbers_at_the_precision_they_are_written_in(self):
        for number in ("1,234.567", "1234.57", "1,234.6", "1,235", "1235.", "-45.5", "\u221245.5", "50", "344"):
            self.assert_kept(f"A figure is {number} here.")
        for number in ("1,234", "1,234.56", "1,240", "45.5", "343", "12.5"):
            self.assert_struck(f"A figure is {number} here.", number)

    def test_scientific_scaled_and_percent(self):
        for number in ("3.5e4", "35 thousand", "0.035 million", "12%", "$35,000", "0.88"):
            self.assert_kept(f"A figure is {number} here.")
        for number in ("3.6e4", "36 thousand", "13%", "87.5%", "1e999999"):
            self.assert_struck(f"A figure is {number} here.")

    def test_names_with_digits_are_no_figures(self):
        self.assert_kept("The 2019 plan of v2 in file_2020.csv is 35,000.")
        self.assert_struck("The 2018 plan is 35,000.", "2018")

    def test_words_for_numbers_are_ignored(self):
        self.assert_kept("Two regions of seven differ.")

    def test_a_figure_of_another_row(self):
        self.assert_struck("South reached 1,234.57.", "belongs to North, not to South")
        self.assert_kept("North has 1,234.57 and South -45.5.")

    def test_a_wrong_superlative(self):
        self.assert_struck("North has the highest mean.", "2019 plan")
        self.assert_kept("South has the lowest mean.")
        self.assert_kept("The highest is the 2019 plan.")

    def test_numbers_that_cannot_be_read(self):
        self.assert_struck("It is 1.234,56 now.")
        self.assert_struck("It is 12abc now.")

    def test_sentences_are_split(self):
        text = "1. First is 3.5 here. Second one!\n```\n- Third\n* Third\n"
        self.assertEqual(split_sentences(text), ["First is 3.5 here.", "Second one!", "Third", "Third"])
        self.assertEqual(len(self.checker.check("Same.\nSame.\n" * 50)), 1)


class Output(unittest.TestCase):
    """Charts, tables and Markdown."""

    def draw(self, chart):
        svg = draw_chart(chart, "A <title> & more\x00", "desc")
        root = ElementTree.fromstring(svg)
        space = "{http://www.w3.org/2000/svg}"
        self.assertEqual(root.find(f"{space}title").text, "A <title> & more\ufffd")
        self.assertIsNotNone(root.find(f"{space}desc"))
        self.assertNotIn("href", svg)
        return svg

    def bars(self, labels, values, additive=True):
        return self.draw({"kind": "bars", "labels": labels, "values": values, "additive": additive, "x": "v", "y": "g"})

    def test_bars(self):
        self.bars(["only"], [5])
        self.bars(["zero"], [0])
        self.assertIn("other (27 groups)", self.bars([f"g{n}" for n in range(50)], [1] * 50))
        self.assertIn("26 more groups", self.bars([f"g{n}" for n in range(50)], [1] * 50, additive=False))
        self.assertIn("\u2026", self.bars(["very long label " * 20, "b"], [-3.5, 2]))

    def test_line_histogram_and_scatter(self):
        self.draw({"kind": "line", "labels": ["a", "b"], "values": [-1, 5], "x": "t", "y": "v"})
        self.draw({"kind": "line", "labels": [str(n) for n in range(5000)], "values": [3] * 5000, "x": "t", "y": "v"})
        for numbers in ([1], [1, 1], [-5, 0, 5.5], [1e99, -1e99], [0.001, 0.002]):
            bins = statistic.histogram(numbers)
            self.assertEqual(sum(count for _, _, count in bins), len(numbers))
            self.draw({"kind": "histogram", "bins": bins, "x": "v", "y": "n"})
        self.draw({"kind": "scatter", "points": [(1, 2), (3, 4)], "line": [1, 1], "x": "a", "y": "b"})

    def test_formulas_in_the_table_are_disarmed(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "table.csv")
            tables.write_table(path, ["=x", "v"], [["+1", -1], ["@a", 2], ['say "hi", you', None]])
            with open(path, encoding="utf-8", newline="") as handle:
                rows = list(csv.reader(handle))
        self.assertEqual(rows, [["'=x", "v"], ["'+1", "-1"], ["'@a", "2"], ['say "hi", you', ""]])

    def test_markdown_is_escaped(self):
        self.assertEqual(document.plain("<b>a|b</b> [x](y)"), "&lt;b&gt;a\\|b&lt;/b&gt; \\[x\\](y)")
        self.assertEqual(document.plain("body_mass_g *x* _y_"), "body_mass_g \\*x\\* \\_y\\_")
        self.assertEqual(document.plain("# head\nline"), "\\# head line")
        self.assertEqual(document.plain("1. item"), "1\\. item")
        self.assertEqual(document.plain("32.10 to 5"), "32.10 to 5")

    def test_many_numbers_are_ordered_by_counting(self):
        numbers = [3.0, 1.0, 2.0, 1.0]
        limit, statistic._SORTED_LIST_MAX = statistic._SORTED_LIST_MAX, 2
        try:
            self.assertEqual(list(statistic.in_order(numbers)), sorted(numbers))
            self.assertEqual(statistic.median(numbers), 1.5)
        finally:
            statistic._SORTED_LIST_MAX = limit


if __name__ == "__main__":
    unittest.main()
