//! Documents that are zip archives: office documents and those that say first what they are.
//!
//! Their parts are XML, and whoever opens them unfolds what a part declares. So no part may declare anything.

use super::{Refused, zip::Entry};

/// The part that lists the others of an office document.
const CONTENT_TYPES: &str = "[Content_Types].xml";
/// The part of an open document, its first, that says what it is.
const MEDIA_TYPE: &str = "mimetype";
/// Endings of the names of parts that are XML.
const XML_ENDINGS: &[&str] = &[".xml", ".rels", ".vml", ".rdf", ".opf", ".ncx"];
/// A part says what it declares by these. Office documents may have neither; old open documents name their definition.
const DOCTYPE: &[u8] = b"<!DOCTYPE";
const ENTITY: &[u8] = b"<!ENTITY";

/// What an archive should be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Package {
    /// Any archive; one that is a document is looked at as such.
    Any,
    /// An office document with this part.
    Office(&'static str),
    /// A document of this media type.
    OpenDocument(&'static str),
}

impl Package {
    /// Looks at the names of the entries, and returns what to look for in them.
    pub(super) fn check(self, entries: &[Entry], label: &str) -> Result<Rules, Refused> {
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        let leads = entries.first().is_some_and(|entry| entry.name == MEDIA_TYPE);
        let rules = match self {
            Self::Any if has(CONTENT_TYPES) => Some(Rules { forbidden: &[DOCTYPE, ENTITY], media_type: None }),
            Self::Any if leads => Some(Rules { forbidden: &[ENTITY], media_type: None }),
            Self::Any => Some(Rules { forbidden: &[], media_type: None }),
            Self::Office(part) => {
                (has(CONTENT_TYPES) && has(part)).then_some(Rules { forbidden: &[DOCTYPE, ENTITY], media_type: None })
            }
            Self::OpenDocument(name) => leads.then_some(Rules { forbidden: &[ENTITY], media_type: Some(name) }),
        };
        rules.ok_or_else(|| not_one(label))
    }
}

fn not_one(label: &str) -> Refused {
    Refused::of_type(format!("by its name the file is {label}; its content is another zip archive"))
}

/// What no part may say, and what one has to.
#[derive(Debug)]
pub(super) struct Rules {
    forbidden: &'static [&'static [u8]],
    media_type: Option<&'static str>,
}

impl Rules {
    /// Begins to look at an entry.
    pub(super) fn scan(&self, name: &str) -> Scan {
        let is_xml = XML_ENDINGS.iter().any(|ending| name.to_ascii_lowercase().ends_with(ending));
        Scan {
            forbidden: if is_xml { self.forbidden } else { &[] },
            expected: self.media_type.filter(|_| name == MEDIA_TYPE),
            recent: Vec::new(),
            start: Vec::new(),
        }
    }
}

/// An entry that is being looked at.
#[derive(Debug)]
pub(super) struct Scan {
    forbidden: &'static [&'static [u8]],
    expected: Option<&'static str>,
    /// The end of what was seen, in which something forbidden may have begun.
    recent: Vec<u8>,
    /// As much of the beginning as is compared.
    start: Vec<u8>,
}

impl Scan {
    /// Looks at the next piece.
    pub(super) fn look_at(&mut self, piece: &[u8]) -> Result<(), Refused> {
        if let Some(expected) = self.expected {
            let wanted = (expected.len() + 1).saturating_sub(self.start.len());
            self.start.extend(piece.iter().take(wanted));
        }
        if self.forbidden.is_empty() {
            return Ok(());
        }
        // Without NUL, text in UTF-16 reads as text in UTF-8.
        self.recent.extend(piece.iter().copied().filter(|byte| *byte != 0));
        for what in self.forbidden {
            if self.recent.windows(what.len()).any(|window| window == *what) {
                let what = String::from_utf8_lossy(what);
                return Err(Refused::of_type(format!("a part of the document says `{what}`, which none may")));
            }
        }
        let kept = self.recent.len().saturating_sub(DOCTYPE.len());
        self.recent.drain(..kept);
        Ok(())
    }

    /// Ends the look at an entry.
    pub(super) fn end(self, label: &str) -> Result<(), Refused> {
        match self.expected {
            Some(expected) if self.start != expected.as_bytes() => Err(not_one(label)),
            Some(_) | None => Ok(()),
        }
    }
}
