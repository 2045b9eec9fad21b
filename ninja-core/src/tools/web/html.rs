//! HTML as Markdown: what a reader would read, without what only a browser needs.
//!
//! It goes by the tokens of the standard's tokenizer and builds no tree. The tree builders at hand take time in the square
//! of a page's depth, and whoever walks such a tree by recursion can be made to overflow the stack, which ends the
//! process.

use html5gum::{DefaultEmitter, HtmlString, StartTag, Token, Tokenizer};
use reqwest::Url;

use super::markdown::Markdown;

/// A page whose text is longer is cut here.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// A longer address of a link is left out; its text stays.
const LINK_URL_BYTES_MAX: usize = 2_048;

const TITLE_BYTES_MAX: usize = 1_000;

/// What a page says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Its title.
    pub(super) title: Option<String>,
    /// Its text, as Markdown.
    pub(super) text: String,
}

/// Reads a page; `url` is where it came from.
pub(super) fn read(html: &str, url: &Url) -> Page {
    let page = Reader::new(url, true).read(html);
    match page.text.is_empty() {
        false => page,
        // A page of nothing but menus and words to those without scripts is still better than nothing.
        true => Reader::new(url, false).read(html),
    }
}

struct Reader {
    base: Url,
    /// Whether menus and the like are left out.
    is_strict: bool,
    has_base: bool,
    writer: Markdown,
    title: String,
    in_title: bool,
    /// Whether the title is complete. Later ones are not the page's.
    has_title: bool,
    /// The element that is left out, and how many of its name are open in it.
    skipped: Option<(HtmlString, usize)>,
}

impl Reader {
    fn new(url: &Url, is_strict: bool) -> Self {
        Self {
            base: url.clone(),
            is_strict,
            has_base: false,
            writer: Markdown::default(),
            title: String::new(),
            in_title: false,
            has_title: false,
            skipped: None,
        }
    }

    fn read(mut self, html: &str) -> Page {
        let mut emitter = DefaultEmitter::<()>::default();
        // Without a tree the contents of scripts and the like are told apart by the names of the elements.
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(html, emitter) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => self.open(&tag),
                Token::EndTag(tag) => self.close(&tag.name),
                Token::String(text) => self.text(&String::from_utf8_lossy(&text)),
                // Comments, the type of the document, and errors, of which most pages have some.
                _ => {}
            }
            if self.writer.taken_bytes() > TEXT_BYTES_MAX {
                break;
            }
        }
        let title = self.title.split_whitespace().collect::<Vec<_>>().join(" ");
        Page { title: Some(title).filter(|title| !title.is_empty()), text: self.writer.finish() }
    }

    fn text(&mut self, text: &str) {
        if self.skipped.is_some() {
            return;
        }
        match self.in_title {
            true if !self.has_title && self.title.len() < TITLE_BYTES_MAX => self.title.push_str(text),
            true => {}
            false => self.writer.text(text),
        }
    }

    fn open(&mut self, tag: &StartTag<()>) {
        if let Some((name, depth)) = &mut self.skipped {
            *depth += usize::from(*name == tag.name && !tag.self_closing);
            return;
        }
        if self.is_skipped(tag) {
            self.skipped = Some((tag.name.clone(), 1));
            return;
        }
        match tag.name.as_slice() {
            b"title" => self.in_title = true,
            b"base" if !self.has_base => self.set_base(tag),
            b"br" => self.writer.end_line(),
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => {
                let level = tag.name.get(1).map_or(1, |digit| usize::from(digit - b'0'));
                self.writer.open_heading(level);
            }
            b"a" => match self.link(tag) {
                Some(url) => self.writer.open_link(url),
                None => self.writer.close_link(),
            },
            b"img" => self.image(tag),
            b"ul" | b"menu" => self.writer.open_list(None),
            b"ol" => self.writer.open_list(Some(attribute(tag, b"start").and_then(|n| n.parse().ok()).unwrap_or(1))),
            b"li" => self.writer.open_item(),
            b"blockquote" => self.writer.open_quote(),
            b"pre" => self.writer.open_code(language(tag)),
            b"code" | b"kbd" | b"samp" | b"tt" => {
                self.writer.name_language(language(tag));
                self.writer.mark("`");
            }
            b"del" | b"s" | b"strike" => self.writer.mark("~~"),
            b"sup" => self.writer.mark("^"),
            b"table" => self.writer.open_table(),
            b"tr" => self.writer.open_row(),
            b"td" | b"th" => self.writer.open_cell(),
            name if is_block(name) => self.writer.end_block(),
            _ => {}
        }
    }

    fn close(&mut self, name: &HtmlString) {
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth -= usize::from(skipped == name);
            if *depth == 0 {
                self.skipped = None;
            }
            return;
        }
        match name.as_slice() {
            b"title" => {
                self.in_title = false;
                self.has_title = true;
            }
            b"a" => self.writer.close_link(),
            b"ul" | b"ol" | b"menu" => self.writer.close_list(),
            b"blockquote" => self.writer.close_quote(),
            b"pre" => self.writer.close_code(),
            b"code" | b"kbd" | b"samp" | b"tt" => self.writer.mark("`"),
            b"del" | b"s" | b"strike" => self.writer.mark("~~"),
            b"td" | b"th" | b"tr" => self.writer.close_cell(),
            b"table" => self.writer.close_table(),
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"li" => self.writer.end_block(),
            name if is_block(name) => self.writer.end_block(),
            _ => {}
        }
    }

    /// Returns whether an element is left out with all that is in it.
    fn is_skipped(&self, tag: &StartTag<()>) -> bool {
        match tag.name.as_slice() {
            b"script" | b"style" | b"template" | b"iframe" | b"object" | b"canvas" | b"audio" | b"video" => true,
            // Only within drawings and formulas does the sign for an empty element mean anything.
            b"svg" | b"math" => !tag.self_closing,
            b"nav" | b"noscript" | b"select" => self.is_strict,
            _ => false,
        }
    }

    fn set_base(&mut self, tag: &StartTag<()>) {
        let base = attribute(tag, b"href").and_then(|href| self.base.join(&href).ok());
        if let Some(base) = base.filter(|base| base.as_str().len() <= LINK_URL_BYTES_MAX) {
            self.base = base;
            self.has_base = true;
        }
    }

    /// Returns where a link leads, unless that is within the page or into a browser.
    fn link(&self, tag: &StartTag<()>) -> Option<String> {
        let href = attribute(tag, b"href").filter(|href| !href.trim_start().starts_with('#'))?;
        let url = self.base.join(&href).ok().filter(|url| matches!(url.scheme(), "http" | "https" | "mailto"))?;
        // Parentheses would end the link early.
        let text = url.as_str().replace('(', "%28").replace(')', "%29");
        (text.len() <= LINK_URL_BYTES_MAX).then_some(text)
    }

    /// Says what a picture shows. Its address is left out: a viewer would fetch it unasked.
    fn image(&mut self, tag: &StartTag<()>) {
        if let Some(shown) = attribute(tag, b"alt").filter(|shown| !shown.trim().is_empty()) {
            self.writer.text(&format!("[image: {}]", shown.trim()));
        }
    }
}

fn attribute(tag: &StartTag<()>, name: &[u8]) -> Option<String> {
    let value = tag.attributes.get(name)?;
    Some(String::from_utf8_lossy(&value.value).into_owned())
}

/// Reads the language of code as highlighters write it.
fn language(tag: &StartTag<()>) -> String {
    let classes = attribute(tag, b"class").unwrap_or_default();
    let named = classes
        .split_whitespace()
        .find_map(|class| class.strip_prefix("language-").or_else(|| class.strip_prefix("lang-")));
    named
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '#' | '-'))
        .take(20)
        .collect()
}

fn is_block(name: &[u8]) -> bool {
    const BLOCKS: [&[u8]; 30] = [
        b"address",
        b"article",
        b"aside",
        b"body",
        b"caption",
        b"center",
        b"dd",
        b"details",
        b"dialog",
        b"div",
        b"dl",
        b"dt",
        b"fieldset",
        b"figcaption",
        b"figure",
        b"footer",
        b"form",
        b"head",
        b"header",
        b"hgroup",
        b"hr",
        b"html",
        b"legend",
        b"main",
        b"option",
        b"p",
        b"search",
        b"section",
        b"summary",
        b"textarea",
    ];
    BLOCKS.contains(&name)
}
