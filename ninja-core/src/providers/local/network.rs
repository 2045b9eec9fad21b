//! The weights of a model and the arithmetic over them, as candle has them.
//!
//! candle computes with a pool of threads of its own, one a core, that wait for each other by spinning. Where the cores are shared with
//! other work that costs far more than the second core brings: on two cores under load 25 it wrote 2 tokens a second, but 15 with
//! `CANDLE_NUM_THREADS=1`. Only that variable, read once by candle, decides; whoever starts the process sets it.

use candle_core::{Device, Tensor};
use candle_transformers::models::{quantized_llama, quantized_qwen2, quantized_qwen3};

use super::error::ModelError;
use super::gguf::GgufFile;

/// The most tokens of a prompt that go through the network at once.
///
/// Between two chunks a call can be cancelled, which must take less than two seconds even on a busy machine that reads 50 tokens a
/// second. Measured from 32 to 512 tokens the processor time of a token is the same.
const CHUNK_TOKENS: usize = 64;

/// candle's Llama computes rotations, and its Qwen 3 reserves room, for this many positions.
pub(super) const POSITIONS_MAX: u64 = quantized_llama::MAX_SEQ_LEN as u64;

/// A model's weights. They keep the key-value cache of the call that runs.
enum Weights {
    Llama(Box<quantized_llama::ModelWeights>),
    Qwen2(Box<quantized_qwen2::ModelWeights>),
    Qwen3(Box<quantized_qwen3::ModelWeights>),
}

/// A model ready to compute.
pub(super) struct Network {
    weights: Weights,
    device: Device,
}

impl Network {
    /// Returns whether an architecture is supported.
    pub(super) fn supports(architecture: &str) -> bool {
        matches!(architecture, "llama" | "qwen2" | "qwen3")
    }

    /// Reads the weights into memory.
    pub(super) fn load(file: GgufFile) -> Result<Self, ModelError> {
        let device = Device::Cpu;
        let architecture = file.architecture()?.to_owned();
        let GgufFile { content, mut reader } = file;
        let weights = match architecture.as_str() {
            "llama" => quantized_llama::ModelWeights::from_gguf(content, &mut reader, &device)
                .map(|weights| Weights::Llama(Box::new(weights))),
            "qwen2" => quantized_qwen2::ModelWeights::from_gguf(content, &mut reader, &device)
                .map(|weights| Weights::Qwen2(Box::new(weights))),
            "qwen3" => quantized_qwen3::ModelWeights::from_gguf(content, &mut reader, &device)
                .map(|weights| Weights::Qwen3(Box::new(weights))),
            other => return Err(unsupported_architecture(other)),
        };
        let weights = weights.map_err(|error| ModelError::unsupported(format!("its weights do not load: {error}")))?;
        Ok(Self { weights, device })
    }

    /// Reads a prompt, beginning a new text, and returns what the model thinks of each token as the next one.
    /// Returns `None` if `stopped` said so between two chunks.
    pub(super) fn read(&mut self, prompt: &[u32], stopped: &dyn Fn() -> bool) -> candle_core::Result<Option<Vec<f32>>> {
        self.forget();
        let mut logits = Vec::new();
        let mut position = 0;
        while let Some(chunk) = prompt.get(position..).and_then(first_chunk) {
            if stopped() {
                return Ok(None);
            }
            logits = self.forward(chunk, position)?;
            position += chunk.len();
        }
        Ok(Some(logits))
    }

    /// Reads one more token at a position and returns what the model thinks of each token as the next one.
    pub(super) fn step(&mut self, token: u32, position: usize) -> candle_core::Result<Vec<f32>> {
        self.forward(&[token], position)
    }

    /// Frees the key-value cache.
    pub(super) fn forget(&mut self) {
        match &mut self.weights {
            Weights::Llama(weights) => weights.clear_kv_cache(),
            Weights::Qwen2(weights) => weights.clear_kv_cache(),
            Weights::Qwen3(weights) => weights.clear_kv_cache(),
        }
    }

    fn forward(&mut self, tokens: &[u32], position: usize) -> candle_core::Result<Vec<f32>> {
        let input = Tensor::new(tokens, &self.device)?.unsqueeze(0)?;
        let logits = match &mut self.weights {
            Weights::Llama(weights) => weights.forward(&input, position)?,
            Weights::Qwen2(weights) => weights.forward(&input, position)?,
            Weights::Qwen3(weights) => weights.forward(&input, position)?,
        };
        logits.flatten_all()?.to_vec1::<f32>()
    }
}

/// Returns the first chunk of what is left of a prompt.
///
/// Its length is the largest power of two that fits. candle keeps an attention mask for ever for each pair of length and position
/// it meets; with powers of two in falling order, each stands at a multiple of itself, so all masks of a window of 2,048 tokens
/// together stay below 10 MB, where a mask for every prompt length would grow without end. Falling order also means that a single
/// token comes last, which candle's Qwen 3 relies on: it keeps single tokens in another cache than chunks.
fn first_chunk(rest: &[u32]) -> Option<&[u32]> {
    let power = rest.len().checked_ilog2()?;
    rest.get(..CHUNK_TOKENS.min(1 << power))
}

/// Makes the error for an architecture that is not supported.
pub(super) fn unsupported_architecture(name: &str) -> ModelError {
    ModelError::unsupported(format!("the architecture `{name}` is unknown; known are llama, qwen2 and qwen3"))
}
