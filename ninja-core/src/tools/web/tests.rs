//! Pages as text: one as people write them, small ones by table, and hostile ones.

use super::html::{Page, read};

const PAGE: &str = r##"<!DOCTYPE html>
<html><head><meta charset="utf-8"><title> Annual
  report &amp; figures </title>
<style>p { color: red }</style><script>if (a < b) document.write("<p>no</p>")</script></head>
<body><header><a href="/">Home</a></header>
<nav><ul><li><a href="/a">Menu</a></li></ul></nav>
<main><h1>Report <em>2025</em></h1>
<p>Sales rose by&nbsp;7&thinsp;% to &euro;12.5&#8239;million &#x2014; see
the <a href="tables.html?x=1&amp;y=2#t" title="x">full   tables</a>, or <a href="#top">the top</a>.<br>Second line.</p>
<ul><li>one<li>two <b>bold</b><ul><li>inner</li></ul></li><li><p>three</p><p>more</p></li></ul>
<ol start=3><li>third</li><li>fourth</li></ol>
<table><caption>Regions</caption><thead><tr><th>Region<th>Sales</thead>
<tbody><tr><td>North</td><td>1|2 <a href="n">x</a></td></tr><tr><td>South<td>3</table>
<pre><code class="hl language-rust">fn main() {
    println!("a < b");
}</code></pre>
<p>Use <code>cargo test</code>, 10<sup>6</sup> times, for <del>$20</del> $10.</p>
<blockquote><p>Quoted.</p><p>Twice.</p></blockquote>
<img src="https://track.example/x.gif"><img src="chart.png" alt="A chart of sales">
<dl><dt>Term</dt><dd>Meaning</dd></dl>
<form><select><option>Choose</select><button>Send</button></form>
<svg><title>icon</title><path d=""/></svg></main>
<footer>&copy; 2025</footer></body></html>"##;

fn page(html: &str) -> Page {
    read(html, &"https://example.com/docs/page.html".parse().unwrap())
}

#[test]
fn a_page_reads_as_a_person_sees_it() {
    let page = page(PAGE);
    assert_eq!(page.title.as_deref(), Some("Annual report & figures"));
    insta::assert_snapshot!(page.text, @r#"
    [Home](https://example.com/)

    # Report 2025

    Sales rose by 7 % to €12.5 million — see the [full tables](https://example.com/docs/tables.html?x=1&y=2#t), or the top.
    Second line.

    - one
    - two bold
      - inner
    - three

      more

    3. third
    4. fourth

    Regions

    | Region | Sales |
    | --- | --- |
    | North | 1\|2 [x](https://example.com/docs/n) |
    | South | 3 |

    ```rust
    fn main() {
        println!("a < b");
    }
    ```

    Use `cargo test`, 10^6 times, for ~~$20~~ $10.

    > Quoted.

    > Twice.

    [image: A chart of sales]

    Term

    Meaning

    Send

    © 2025
    "#);
}

#[test]
fn small_pages() {
    for (html, text) in [
        ("", ""),
        ("plain", "plain"),
        ("a<p>b<div>c</div>d", "a\n\nb\n\nc\n\nd"),
        ("  a \n\t b  <b> c </b>d", "a b c d"),
        ("<h2>a<br>b</h2>c<h9>d", "## a b\n\ncd"),
        ("<h1>never closed<p>next", "# never closed\n\nnext"),
        // Links.
        ("x<a href='b'> y </a>z", "x [y](https://example.com/docs/b) z"),
        ("<a href='//o.example/é?ü=(1)'>y</a>", "[y](https://o.example/%C3%A9?%C3%BC=%281%29)"),
        ("<a href='javascript:x()'>y</a> <a href='data:,x'>z</a> <a>n</a>", "y z n"),
        ("<a href='mailto:a@b.c'>m</a><a href='http://['>broken</a>", "[m](mailto:a@b.c)broken"),
        ("<a href=/1>one<a href=/2>two", "[one](https://example.com/1)[two](https://example.com/2)"),
        ("<a href=/><h3>Title</h3><p>words</p></a>", "[Title words](https://example.com/)"),
        ("<a href=/><img src=x></a>.<a href=/><img alt='Logo'></a>", ".[[image: Logo]](https://example.com/)"),
        (
            "<base href='https://o.example/d/'><base href='https://n.example'><a href=x>y</a>",
            "[y](https://o.example/d/x)",
        ),
        // Lists.
        ("<li>stray", "- stray"),
        ("<ul><li><li>b</ul>c", "- b\n\nc"),
        ("<ol><li>a<ol><li>b</ol><li>c</ol>", "1. a\n  1. b\n2. c"),
        ("<ul><li>a<br>b</ul></ul></ul>c", "- a\n  b\n\nc"),
        // Tables.
        ("<table><tr><td>a<td>b<tr><td>c</table>d", "| a | b |\n| --- | --- |\n| c |\n\nd"),
        ("<table><tr><td>a</td></tr><tr><td>b</table>", "a\n\nb"),
        ("<table><td>a<td>b", "| a | b |\n| --- | --- |"),
        (
            "<table><tr><td>menu<td><table><tr><td>a<td>b</table>after<td>c</table>",
            "menu\n\n| a | b |\n| --- | --- |\n\nafter\n\nc",
        ),
        ("<td>stray</td>x</table>", "strayx"),
        (
            "<table><tr><th>a<th>b<tr><td><ul><li>x<li>y</ul><td><p>p</p><pre>q\nr</pre></table>",
            "| a | b |\n| --- | --- |\n| - x - y | p q r |",
        ),
        // Code.
        ("<pre>\n  a\n\n   b </pre>c", "```\n  a\n\n   b\n```\n\nc"),
        ("<pre class=language-c++>```x```", "````c++\n```x```\n````"),
        ("<pre><span>a</span><br><div>b</div><div>c</div><a href=x>d</a>", "```\na\nb\nc\nd\n```"),
        ("<pre></pre>a <code>b  c</code>", "a `b c`"),
        // What is left out, and what only looks as if.
        ("a<script>b</scrip></script >c<style>d</style><!-- e --><template>f</template>g", "acg"),
        ("<nav>a<nav>b</nav>c</nav>d<noscript>e</noscript><svg/>f<svg><g/>x</svg>", "df"),
        ("<nav>only a menu</nav>", "only a menu"),
        ("<script>never closed <p>text", ""),
        ("&lt;b&gt; &amp;lt; &nope; &#0; &#x110000; &copy", "<b> &lt; &nope; \u{fffd} \u{fffd} ©"),
        ("<textarea><b>x</b></textarea><title>y</title><title>z</title>", "<b>x</b>"),
        ("<p title='<p>'>a<a b=\"c", "a"),
    ] {
        assert_eq!(page(html).text, text, "{html}");
    }
    assert_eq!(page("<title></title>").title, None);
}

/// Each is nested fifty thousand times; what would take the square of it would not return.
#[test]
fn hostile_pages_take_no_more_than_their_length() {
    let count = 50_000;
    for piece in [
        "<div>",
        "<b>",
        "<ul><li>x",
        "<blockquote>x",
        "<table><tr><td>",
        "<a href=x>",
        "<pre>",
        "<code>",
        "<svg>",
        "<h1>",
        "</div>",
        "<p",
        "&",
        "<!--",
        "<table>x",
        "<td>",
        "<tr>x",
        "<script>",
        "<a href=x>x</a>",
        "<li>x",
        "<q a=b c=d>",
    ] {
        let text = page(&piece.repeat(count)).text;
        assert!(text.len() <= 60 * count, "{piece}: {}", text.len());
    }
    // A short link with a long base is not paid for with memory.
    let base = format!("<base href='https://e.example/{}/'>", "x".repeat(2_000));
    assert!(page(&format!("{base}{}", "<a href=x>y</a>".repeat(count))).text.len() < 9 << 20);
}
