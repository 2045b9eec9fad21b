//! Writes Markdown as it goes: blocks, lists, tables, links, code.
//!
//! It takes what a page opens and closes in whatever order, without a tree and without recursion, so that its work and
//! its memory are in proportion to the page, however deep that is nested. It knows no HTML.

use std::mem::take;

/// Deeper lists and quotes are shown as deep as this; indents would otherwise outgrow the text.
const DEPTH_SHOWN_MAX: usize = 8;

/// A link whose text is longer was most likely never closed; it becomes plain text.
const LINK_TEXT_BYTES_MAX: usize = 1_000;

/// The writer.
#[derive(Debug, Default)]
pub(super) struct Markdown {
    out: String,
    /// How much text and how many bytes of addresses came in.
    taken_bytes: usize,
    /// The block being written.
    block: String,
    heading: Option<usize>,
    quotes: usize,
    lists: Vec<List>,
    /// The sign of a list item that has no text so far.
    marker: Option<String>,
    /// Whether the last block written was an item of a list.
    after_item: bool,
    link: Option<Link>,
    code: Option<Code>,
    tables: Vec<Table>,
}

#[derive(Debug)]
struct List {
    /// The number of the next item, where they are numbered.
    next: Option<u32>,
}

#[derive(Debug)]
struct Link {
    url: String,
    text: String,
}

#[derive(Debug)]
struct Code {
    language: String,
    text: String,
}

#[derive(Debug, Default)]
struct Table {
    rows: Vec<Vec<String>>,
    /// The open cell. Without one, text goes to the block.
    cell: Option<String>,
    /// Whether it holds other tables, and so only arranges the page.
    is_layout: bool,
}

impl Markdown {
    /// Ends what is open and returns the text.
    pub(super) fn finish(mut self) -> String {
        self.close_code();
        self.close_link();
        while !self.tables.is_empty() {
            self.close_table();
        }
        self.end_block();
        self.out
    }

    /// Returns how much came in. What goes out is not much more.
    pub(super) fn taken_bytes(&self) -> usize {
        self.taken_bytes
    }

    /// Adds text; white space is as good as one space, except in a block of code.
    pub(super) fn text(&mut self, text: &str) {
        self.taken_bytes += text.len();
        if let Some(code) = &mut self.code {
            return code.text.push_str(text);
        }
        let line = self.line();
        for c in text.chars() {
            match c {
                c if !c.is_whitespace() || c == '\u{a0}' => line.push(if c == '\u{a0}' { ' ' } else { c }),
                _ if line.ends_with([' ', '\n']) => {}
                _ => line.push(' '),
            }
        }
        if self.link.as_ref().is_some_and(|link| link.text.len() > LINK_TEXT_BYTES_MAX)
            && let Some(link) = self.link.take()
        {
            self.line().push_str(&link.text);
        }
    }

    /// Adds a sign that stands around text, such as that of code.
    pub(super) fn mark(&mut self, mark: &str) {
        if self.code.is_none() {
            self.line().push_str(mark);
        }
    }

    /// Ends a line within a block.
    pub(super) fn end_line(&mut self) {
        if let Some(code) = &mut self.code {
            return code.text.push('\n');
        }
        match self.link.is_some() || self.in_cell() {
            true => self.text(" "),
            false => self.block.push('\n'),
        }
    }

    /// Ends the block and begins another.
    pub(super) fn end_block(&mut self) {
        if let Some(code) = &mut self.code {
            if !code.text.is_empty() && !code.text.ends_with('\n') {
                code.text.push('\n');
            }
            return;
        }
        if self.link.is_some() || self.in_cell() {
            return self.text(" ");
        }
        self.write_block();
        self.heading = None;
    }

    /// Begins a heading, which the next block ends.
    pub(super) fn open_heading(&mut self, level: usize) {
        self.end_block();
        if self.link.is_none() && !self.in_cell() && self.code.is_none() {
            self.heading = Some(level);
        }
    }

    pub(super) fn open_quote(&mut self) {
        self.end_block();
        self.quotes += 1;
    }

    pub(super) fn close_quote(&mut self) {
        self.end_block();
        self.quotes = self.quotes.saturating_sub(1);
    }

    /// Begins a list whose items are numbered from a number on, or not numbered.
    pub(super) fn open_list(&mut self, first: Option<u32>) {
        self.end_block();
        self.marker = None;
        self.lists.push(List { next: first });
    }

    pub(super) fn close_list(&mut self) {
        self.end_block();
        self.marker = None;
        self.lists.pop();
    }

    pub(super) fn open_item(&mut self) {
        self.end_block();
        let next = self.lists.last_mut().and_then(|list| list.next.as_mut());
        let marker = next.map_or_else(
            || "- ".to_owned(),
            |next| {
                let marker = format!("{next}. ");
                *next = next.saturating_add(1);
                marker
            },
        );
        match self.in_cell() || self.link.is_some() {
            true => self.text(&marker),
            false => self.marker = Some(marker),
        }
    }

    pub(super) fn open_link(&mut self, url: String) {
        self.close_link();
        if self.code.is_none() {
            self.taken_bytes += url.len();
            self.link = Some(Link { url, text: String::new() });
        }
    }

    pub(super) fn close_link(&mut self) {
        let Some(Link { url, text }) = self.link.take() else { return };
        let words = text.trim();
        let line = self.line();
        if (text.starts_with(' ') || words.is_empty()) && !line.is_empty() && !line.ends_with([' ', '\n']) {
            line.push(' ');
        }
        if !words.is_empty() {
            line.push_str(&format!("[{words}]({url})"));
            line.push_str(if text.ends_with(' ') { " " } else { "" });
        }
    }

    /// Begins a block of code, in which white space counts.
    pub(super) fn open_code(&mut self, language: String) {
        self.close_link();
        if self.in_cell() || self.code.is_some() {
            return;
        }
        self.end_block();
        self.code = Some(Code { language, text: String::new() });
    }

    /// Names the language of a block of code that has just begun.
    pub(super) fn name_language(&mut self, language: String) {
        if let Some(code) = self.code.as_mut().filter(|code| code.text.is_empty() && code.language.is_empty()) {
            code.language = language;
        }
    }

    pub(super) fn close_code(&mut self) {
        let Some(Code { language, text }) = self.code.take() else { return };
        let text = text.strip_prefix('\n').unwrap_or(&text).trim_end();
        if text.is_empty() {
            return;
        }
        let fence = "`".repeat(longest_run(text, '`').max(2) + 1);
        self.separate(false);
        self.out.push_str(&format!("{fence}{language}\n{text}\n{fence}"));
    }

    /// Begins a table. One in a cell shows that the outer one only arranges the page: its cells become blocks.
    pub(super) fn open_table(&mut self) {
        self.close_link();
        if let Some(outer) = self.tables.last_mut() {
            outer.is_layout = true;
            let (rows, cell) = (take(&mut outer.rows), outer.cell.take());
            for text in rows.into_iter().flatten().chain(cell) {
                self.block.push_str(&text);
                self.end_block();
            }
        }
        self.end_block();
        self.tables.push(Table::default());
    }

    pub(super) fn open_row(&mut self) {
        self.close_cell();
        if let Some(table) = self.tables.last_mut().filter(|table| !table.is_layout) {
            table.rows.push(Vec::new());
        }
    }

    pub(super) fn open_cell(&mut self) {
        self.close_cell();
        if let Some(table) = self.tables.last_mut().filter(|table| !table.is_layout) {
            table.cell = Some(String::new());
        }
    }

    pub(super) fn close_cell(&mut self) {
        if self.tables.is_empty() {
            return;
        }
        self.close_link();
        let Some(table) = self.tables.last_mut().filter(|table| !table.is_layout) else { return self.end_block() };
        if let Some(cell) = table.cell.take() {
            match table.rows.last_mut() {
                Some(row) => row.push(cell),
                None => table.rows.push(vec![cell]),
            }
        }
    }

    pub(super) fn close_table(&mut self) {
        self.close_code();
        self.close_cell();
        self.end_block();
        let Some(table) = self.tables.pop() else { return };
        // Below a cell of the outer table there is none any more: it was made a block.
        match table.rows.iter().map(Vec::len).max() {
            None | Some(0) => {}
            Some(1) => {
                for text in table.rows.into_iter().flatten() {
                    self.block.push_str(&text);
                    self.end_block();
                }
            }
            Some(_) => self.write_table(&table.rows),
        }
    }

    fn in_cell(&self) -> bool {
        self.tables.last().is_some_and(|table| table.cell.is_some())
    }

    /// Returns where text goes.
    fn line(&mut self) -> &mut String {
        let cell = self.tables.last_mut().and_then(|table| table.cell.as_mut());
        match (&mut self.link, cell) {
            (Some(link), _) => &mut link.text,
            (None, Some(cell)) => cell,
            (None, None) => &mut self.block,
        }
    }

    fn write_block(&mut self) {
        let block = take(&mut self.block);
        let block = block.trim();
        if block.is_empty() {
            return;
        }
        let is_item = self.marker.is_some();
        self.separate(is_item);
        let depth = self.lists.len().min(DEPTH_SHOWN_MAX);
        let quote = "> ".repeat(self.quotes.min(DEPTH_SHOWN_MAX));
        let marker = self.marker.take().unwrap_or_else(|| if depth > 0 { "  ".to_owned() } else { String::new() });
        let heading = self.heading.map_or_else(String::new, |level| format!("{} ", "#".repeat(level)));
        let outer = "  ".repeat(depth.saturating_sub(1));
        let indent = " ".repeat(outer.len() + marker.len());
        for (index, line) in block.lines().enumerate() {
            let line = line.trim();
            match (index, self.heading) {
                (0, _) => self.out.push_str(&format!("{quote}{outer}{marker}{heading}{line}")),
                (_, Some(_)) => self.out.push_str(&format!(" {line}")),
                (_, None) => self.out.push_str(&format!("\n{quote}{indent}{line}")),
            }
        }
        self.after_item = is_item;
    }

    fn write_table(&mut self, rows: &[Vec<String>]) {
        self.separate(false);
        for (index, row) in rows.iter().filter(|row| !row.is_empty()).enumerate() {
            for cell in row {
                self.out.push_str(&format!("| {} ", cell.trim().replace('|', "\\|")));
            }
            self.out.push_str("|\n");
            if index == 0 {
                self.out.push_str(&"| --- ".repeat(row.len()));
                self.out.push_str("|\n");
            }
        }
        self.out.pop();
    }

    /// Ends the last block: with an empty line, but not between items of a list.
    fn separate(&mut self, is_item: bool) {
        if !self.out.is_empty() {
            self.out.push_str(if self.after_item && is_item { "\n" } else { "\n\n" });
        }
        self.after_item = false;
    }
}

fn longest_run(text: &str, wanted: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}
