"""Tests of the static-site scripts, run as the engine runs them.

Run with: python3 -m unittest discover -s config/templates/static-site/tests
"""

import os
import sys
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "scripts")]

from harness import StepFailed, Task  # noqa: E402
from markdown import Renderer  # noqa: E402

PNG = b"\x89PNG\r\n\x1a\n123"
WORDS = {"title": "Hill Farm", "tagline": "Apples.", "sections": [{"heading": "Ours", "text": "We press juice."}]}
GOAL = "A site for Hill Farm, which grows apples"


def rendered(text):
    links = {"prices.csv": "prices.html"}
    images = {"loaf.png": "images/loaf.png"}
    return Renderer(links.get, images.get).render(text)


class StaticSiteTest(unittest.TestCase):
    def start(self, *args, **options):
        task = Task(*args, **options)
        self.addCleanup(task.close)
        return task

    def test_words_and_files_make_a_site_whose_links_all_lead_somewhere(self):
        files = {
            "about.md": "# About us\n\n[Prices](prices.csv) ![Loaf](loaf.png)\n",
            "prices.csv": "item,price\nApple,2\n",
            "loaf.png": PNG,
            "tree.png": PNG,
        }
        task = self.start(files, GOAL)
        self.assertIsNone(task.run({"words": WORDS}))
        index, about = task.made("site/index.html"), task.made("site/about.html")
        for expected in (
            "<h1>Hill Farm</h1>",
            "<h2>Ours</h2>",
            'href="about.html">About us',
            'alt="Tree"',
            '<html lang="en">',
        ):
            self.assertIn(expected, index)
        self.assertIn('<a href="prices.html">Prices</a>', about)
        self.assertIn('<img src="images/loaf.png" alt="Loaf"', about)
        self.assertIn("<td>Apple</td>", task.made("site/prices.html"))
        self.assertTrue(task.has("site/images/tree.png"))

    def test_without_a_models_words_the_goal_and_the_files_make_the_site(self):
        for words in (None, {"title": " ", "tagline": "", "sections": []}, {"title": "---"}):
            with self.subTest(words):
                task = self.start(
                    {"index.md": "# Welcome\n\nTo the farm."},
                    GOAL,
                    params={"title": "Farm", "theme": "dark", "language": "de", "sections": 1},
                )
                self.assertIsNone(task.run({"words": words}))
                self.assertIn("To the farm.", task.made("site/index.html"))
                self.assertIn('lang="de"', task.made("site/index.html"))
        task = self.start({}, GOAL)
        self.assertIsNone(task.run())
        self.assertIn("<h1>A site for Hill Farm</h1>", task.made("site/index.html"))

    def test_a_small_models_words_stay_with_what_was_given(self):
        words = {
            "title": "Hill Farm",
            "tagline": "Rockets for everyone.",
            "sections": [
                {
                    "heading": "Apples",
                    "text": "Hill Farm grows apples. We launch rockets to distant planets. Hill Farm grows apples.",
                },
                {"heading": "Apples", "text": "Hill Farm grows apples."},
                {"heading": "Space", "text": "We launch rockets."},
            ],
        }
        task = self.start({}, GOAL, small=True)
        self.assertIsNone(task.run({"words": words}))
        index = task.made("site/index.html")
        self.assertEqual(index.count("<p>Hill Farm grows apples.</p>"), 1)
        self.assertNotIn("ockets", index)
        task = self.start({}, GOAL)
        self.assertIsNone(task.run({"words": words}))
        self.assertIn("<p>We launch rockets.</p>", task.made("site/index.html"), "a capable model may say more")

    def test_nothing_of_a_text_becomes_markup_or_code(self):
        hostile = '<script>alert(1)</script> "><img src=x onerror=alert(1)> {{goal}} &lt;'
        files = {
            'a"><b>.md': f'# {hostile}\n\n{hostile}\n\n[x](javascript:alert(1)) ![{hostile}](loaf.png) [y](https://e.org/"onclick=1)',
            "t.csv": f'{hostile},b\n"{hostile}",2\n'.replace('"', "'"),
            "loaf.png": PNG,
        }
        words = {"title": hostile[:60], "tagline": hostile, "sections": [{"heading": hostile, "text": hostile}]}
        task = self.start(files, hostile)
        self.assertIsNone(task.run({"words": words}))
        for name in os.listdir(os.path.join(task.workspace, "site")):
            if name.endswith(".html"):
                text = task.made(f"site/{name}")
                self.assertNotIn("<script", text)
                self.assertNotIn("<img src=x", text)
                self.assertNotIn('href="javascript', text)

    def test_markdown(self):
        cases = [
            ("a *b* **c** `d<e>`", "<p>a <em>b</em> <strong>c</strong> <code>d&lt;e&gt;</code></p>"),
            ("snake_case_name 2*3*4", "<p>snake_case_name 2<em>3</em>4</p>"),
            ("- a\n- b\n  - c", "<ul>\n<li>a</li>\n<li>b\n<ul>\n<li>c</li>\n</ul></li>\n</ul>"),
            ("1. a\n2. b", "<ol>\n<li>a</li>\n<li>b</li>\n</ol>"),
            ("## A\n\n##### B", '<h2 id="a">A</h2>\n<h3 id="b">B</h3>'),
            ("## A\n## A\n## Content", '<h2 id="a">A</h2>\n<h2 id="a-2">A</h2>\n<h2 id="content-2">Content</h2>'),
            ("> a\n> b", "<blockquote>\n<p>a b</p>\n</blockquote>"),
            ("```py\n<a>\n```", "<pre><code>&lt;a&gt;</code></pre>"),
            ("---\ntitle: x\n---\ntext", "<p>text</p>"),
            ("a\n\n***\n\nb", "<p>a</p>\n<hr>\n<p>b</p>"),
            ("[Prices](prices.csv)", '<p><a href="prices.html">Prices</a></p>'),
            ("[mail](mailto:a@b.ch)", '<p><a href="mailto:a@b.ch" rel="noopener">mail</a></p>'),
            ("[gone](gone.md)", "<p>gone</p>"),
            (
                "[a [b](https://e.org)](https://e.org)",
                '<p>[a <a href="https://e.org" rel="noopener">b</a>](https://e.org)</p>',
            ),
            ("![Loaf](loaf.png)", '<p><img src="images/loaf.png" alt="Loaf" loading="lazy"></p>'),
            ("![](loaf.png)", '<p><img src="images/loaf.png" alt="Image" loading="lazy"></p>'),
            ("![x](https://e.org/x.png)", "<p>x</p>"),
            ("\\*a\\*", "<p>*a*</p>"),
        ]
        for text, expected in cases:
            with self.subTest(text):
                self.assertEqual(rendered(text).html, expected)
        self.assertIn('<th scope="col">a</th>', rendered("a | b\n--|--\n1 | 2").html)
        self.assertEqual(rendered("# Title\n\ntext").title, "Title")
        rendered("> " * 3_000 + "a\n" + "*" * 5_000 + "[" * 5_000)

    def test_a_site_that_was_spoiled_does_not_hold(self):
        cases = {
            "a script": ("index.html", "</main>", "<script>1</script></main>"),
            "a handler": ("index.html", '<main id="content">', '<main id="content" onclick="x()">'),
            "a tag that never closes": ("index.html", "</main>", "<div></main>"),
            "a link into nothing": ("index.html", "</main>", '<a href="gone.html">x</a></main>'),
            "a place that is not there": ("index.html", "</main>", '<a href="about.html#gone">x</a></main>'),
            "a link out of the site": ("index.html", "</main>", '<a href="../inputs/about.md">x</a></main>'),
            "a link with code": ("index.html", "</main>", '<a href="javascript:x()">x</a></main>'),
            "an image from elsewhere": ("index.html", "</main>", '<img src="https://e.org/x.png" alt="x"></main>'),
            "an image from elsewhere without a scheme": (
                "index.html",
                "</main>",
                '<img src="//e.org/x.png" alt="x"></main>',
            ),
            "an image without a text": ("index.html", "</main>", '<img src="style.css"></main>'),
            "no title": ("index.html", "<title>Hill Farm</title>", "<title></title>"),
            "no language": ("index.html", ' lang="en"', ""),
            "two h1": ("index.html", "</main>", "<h1>x</h1></main>"),
            "a level left out": ("index.html", "</main>", "<h4>x</h4></main>"),
            "a page nobody links to": ("index.html", '<li><a href="about.html">About</a></li>', ""),
            "an import": ("style.css", ":root", "@import 'x'; :root"),
            "a font": ("style.css", ":root", "@font-face { src: url(x) } :root"),
        }
        task = self.start({"about.md": "Text"}, GOAL)
        self.assertIsNone(task.run({"words": WORDS}))
        for what, (name, old, new) in cases.items():
            with self.subTest(what):
                whole = task.made(f"site/{name}")
                self.assertIn(old, whole)
                task.write(f"site/{name}", whole.replace(old, new, 1))
                self.assertIsNotNone(task.check())
                task.write(f"site/{name}", whole)
        self.assertIsNone(task.check())
        os.remove(os.path.join(task.workspace, "site/about.html"))
        self.assertIn("is missing", task.check())

    def test_bad_inputs_are_refused_with_the_reason(self):
        cases = [
            ({"a.md": ""}, "is empty"),
            ({"a.md": b"a\x00b"}, "is not text"),
            ({"a.md": b"a" * ((2 << 20) + 1)}, "more than"),
            ({"a.png": b"<svg>"}, "not the kind of image"),
            ({"a.svg": b"<svg onload=alert(1)>"}, "a site is made of"),
            ({"a.csv": '"'}, "cannot be read|has no rows"),
            ({"noending": "x"}, "a site is made of"),
        ]
        for files, why in cases:
            with self.subTest(why=why, files=list(files)):
                try:
                    self.start(files, GOAL).run({"words": WORDS})
                except StepFailed as failed:
                    self.assertRegex(str(failed), why)
                else:
                    self.assertEqual(list(files), ["a.csv"], "only a lone quote may be a cell")
        with self.assertRaisesRegex(StepFailed, "the goal is empty"):
            self.start({}, " ").run()

    def test_names_that_are_the_same_in_an_address_stay_apart(self):
        files = {
            "Äpfel.md": "one",
            "aepfel.md": "two",
            "../x.md".replace("/", "_"): "three",
            "index.md": "four",
            "README.md": "five",
        }
        task = self.start(files, GOAL)
        self.assertIsNone(task.run({"words": WORDS}))
        self.assertEqual(
            task.output("build")["pages"], ["index.html", "aepfel.html", "aepfel-2.html", "x.html", "readme.html"]
        )

    def test_texts_in_other_encodings_are_read(self):
        for data in ("Größe".encode("cp1252"), "Größe".encode("utf-16"), b"\xef\xbb\xbfGr\xc3\xb6\xc3\x9fe"):
            task = self.start({"a.md": data}, GOAL)
            self.assertIsNone(task.run({"words": WORDS}))
            self.assertIn("Größe", task.made("site/a.html"))


if __name__ == "__main__":
    unittest.main()
