//! What the header of a GGUF file says, read with names instead of keys.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use candle_core::quantized::gguf_file::{Content, Value};

use super::error::ModelError;

/// A GGUF file whose header is read; its tensors are not.
pub(super) struct GgufFile {
    /// Metadata and the tensors' places.
    pub(super) content: Content,
    /// The open file, for reading tensors.
    pub(super) reader: BufReader<File>,
}

impl GgufFile {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(ModelError::io("open", path))?;
        let mut reader = BufReader::new(file);
        let content =
            Content::read(&mut reader).map_err(|source| ModelError::Unreadable { path: path.to_path_buf(), source })?;
        Ok(Self { content, reader })
    }

    /// Returns a text of the metadata.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.content.metadata.get(key).and_then(text)
    }

    /// Returns a whole number of the metadata, whatever its width.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.content.metadata.get(key).and_then(whole_number)
    }

    /// Returns a list of texts of the metadata.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<&str>, ModelError> {
        self.list(key)?.iter().map(text).collect::<Option<_>>().ok_or_else(|| missing(key))
    }

    /// Returns a list of whole numbers of the metadata.
    pub(super) fn numbers(&self, key: &str) -> Result<Vec<u64>, ModelError> {
        self.list(key)?.iter().map(whole_number).collect::<Option<_>>().ok_or_else(|| missing(key))
    }

    fn list(&self, key: &str) -> Result<&[Value], ModelError> {
        match self.content.metadata.get(key) {
            Some(Value::Array(values)) => Ok(values),
            _ => Err(missing(key)),
        }
    }

    /// Returns the architecture's name, such as `llama`.
    pub(super) fn architecture(&self) -> Result<&str, ModelError> {
        self.text("general.architecture").ok_or_else(|| missing("general.architecture"))
    }

    /// Returns the context length that the model was trained for.
    pub(super) fn context_tokens(&self) -> Result<u64, ModelError> {
        let key = format!("{}.context_length", self.architecture()?);
        self.number(&key).ok_or_else(|| missing(&key))
    }

    /// Returns the number of weights, summed over the tensors.
    pub(super) fn parameters(&self) -> u64 {
        self.content.tensor_infos.values().map(|tensor| tensor.shape.elem_count() as u64).sum()
    }
}

fn missing(key: &str) -> ModelError {
    ModelError::unsupported(format!("its metadata lacks `{key}`, or has it in an unknown form"))
}

fn whole_number(value: &Value) -> Option<u64> {
    match *value {
        Value::U8(n) => Some(n.into()),
        Value::U16(n) => Some(n.into()),
        Value::U32(n) => Some(n.into()),
        Value::U64(n) => Some(n),
        Value::I8(n) => u64::try_from(n).ok(),
        Value::I16(n) => u64::try_from(n).ok(),
        Value::I32(n) => u64::try_from(n).ok(),
        Value::I64(n) => u64::try_from(n).ok(),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}
