//! A model of a few thousand random weights, written as a GGUF of any supported architecture.
//!
//! It talks nonsense, but goes through every part of the code, and nonsense is the hardest trial for a grammar.

use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use crate::providers::local::catalog::{InstalledModel, hash_file, put};

/// The tiny model's sizes. Rows must be multiples of 32 for the quantised forms.
const WIDTH: usize = 64;
const HEADS: usize = 2;
const HEAD_WIDTH: usize = WIDTH / HEADS;

/// What a tiny model is like.
#[derive(Debug, Clone)]
pub(super) struct Tiny {
    pub(super) architecture: &'static str,
    pub(super) split: &'static str,
    pub(super) dtype: GgmlDType,
    pub(super) context_tokens: u32,
    pub(super) specials: Vec<(&'static str, i32)>,
    pub(super) words: Vec<&'static str>,
    pub(super) merges: Vec<&'static str>,
}

impl Default for Tiny {
    fn default() -> Self {
        Self {
            architecture: "llama",
            split: "smollm",
            dtype: GgmlDType::Q8_0,
            context_tokens: 512,
            specials: vec![("<|endoftext|>", 3), ("<|im_start|>", 3), ("<|im_end|>", 3), ("<tool_call>", 4)],
            words: vec!["he", "ll", "hell", "hello", "Ġhello"],
            merges: vec!["h e", "l l", "he ll", "hell o", "Ġ hello"],
        }
    }
}

impl Tiny {
    /// Writes the model as a GGUF.
    pub(super) fn write(&self, path: &Path) {
        let metadata = self.metadata();
        let metadata: Vec<_> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let tensors = self.tensors();
        let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let mut file = std::fs::File::create(path).unwrap();
        gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    }

    /// Puts the model into a directory as if it had been installed.
    pub(super) fn install(&self, models_dir: &Path, name: &str) -> PathBuf {
        let path = models_dir.join("new.gguf");
        self.write(&path);
        let (sha256, _) = hash_file(&path).unwrap();
        let model = InstalledModel::describe(name, "a test".into(), sha256, &path).unwrap();
        put(models_dir, &path, &model).unwrap();
        models_dir.join(format!("{name}.gguf"))
    }

    fn tokens(&self) -> Vec<(String, i32)> {
        let specials = self.specials.iter().map(|(text, kind)| ((*text).to_owned(), *kind));
        let bytes = (0..=255).map(|byte| (byte_character(byte).to_string(), 1));
        let words = self.words.iter().map(|word| ((*word).to_owned(), 1));
        specials.chain(bytes).chain(words).collect()
    }

    fn metadata(&self) -> Vec<(String, Value)> {
        let tokens = self.tokens();
        let end = tokens.iter().position(|(text, _)| text == "<|im_end|>" || text == "<|eot_id|>").unwrap_or(0);
        let text = |text: &str| Value::String(text.to_owned());
        let list = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
        let architecture = self.architecture;
        let own = |key: &str| format!("{architecture}.{key}");
        vec![
            ("general.architecture".into(), text(architecture)),
            ("general.license".into(), text("apache-2.0")),
            ("general.file_type".into(), Value::U32(3)),
            (own("attention.head_count"), Value::U32(HEADS as u32)),
            (own("attention.head_count_kv"), Value::U32(1)),
            (own("attention.key_length"), Value::U32(HEAD_WIDTH as u32)),
            (own("attention.layer_norm_rms_epsilon"), Value::F32(1e-5)),
            (own("block_count"), Value::U32(1)),
            (own("context_length"), Value::U32(self.context_tokens)),
            (own("embedding_length"), Value::U32(WIDTH as u32)),
            (own("rope.dimension_count"), Value::U32(HEAD_WIDTH as u32)),
            (own("rope.freq_base"), Value::F32(10_000.0)),
            ("tokenizer.ggml.model".into(), text("gpt2")),
            ("tokenizer.ggml.pre".into(), text(self.split)),
            ("tokenizer.ggml.tokens".into(), list(tokens.iter().map(|(text, _)| text.clone()).collect())),
            (
                "tokenizer.ggml.token_type".into(),
                Value::Array(tokens.iter().map(|(_, kind)| Value::I32(*kind)).collect()),
            ),
            ("tokenizer.ggml.merges".into(), list(self.merges.iter().map(|merge| (*merge).to_owned()).collect())),
            ("tokenizer.ggml.eos_token_id".into(), Value::U32(end as u32)),
        ]
    }

    fn tensors(&self) -> Vec<(String, QTensor)> {
        let vocabulary = self.tokens().len();
        let mut seed = 7;
        let mut matrix = |name: &str, rows: usize| {
            let tensor = random(&[rows, WIDTH], &mut seed);
            (name.to_owned(), QTensor::quantize(&tensor, self.dtype).unwrap())
        };
        let mut tensors = vec![
            matrix("token_embd.weight", vocabulary),
            matrix("blk.0.attn_q.weight", WIDTH),
            matrix("blk.0.attn_k.weight", HEAD_WIDTH),
            matrix("blk.0.attn_v.weight", HEAD_WIDTH),
            matrix("blk.0.attn_output.weight", WIDTH),
            matrix("blk.0.ffn_gate.weight", WIDTH),
            matrix("blk.0.ffn_up.weight", WIDTH),
            matrix("blk.0.ffn_down.weight", WIDTH),
        ];
        let ones = |name: &str, len: usize| {
            let tensor = Tensor::ones(len, candle_core::DType::F32, &Device::Cpu).unwrap();
            (name.to_owned(), QTensor::quantize(&tensor, GgmlDType::F32).unwrap())
        };
        tensors
            .extend(["output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"].map(|n| ones(n, WIDTH)));
        match self.architecture {
            "qwen2" => {
                tensors.push(ones("blk.0.attn_q.bias", WIDTH));
                tensors.extend(["blk.0.attn_k.bias", "blk.0.attn_v.bias"].map(|name| ones(name, HEAD_WIDTH)));
            }
            "qwen3" => {
                tensors.extend(["blk.0.attn_q_norm.weight", "blk.0.attn_k_norm.weight"].map(|n| ones(n, HEAD_WIDTH)));
            }
            _ => {}
        }
        tensors
    }
}

/// The character that stands for a byte, computed as GPT-2 does it: independent of the code under test.
pub(super) fn byte_character(byte: u8) -> char {
    let is_plain = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if is_plain(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&byte| !is_plain(byte)).count();
    char::from_u32(256 + before as u32).unwrap()
}

/// Random numbers around zero that are the same in every run.
fn random(shape: &[usize], seed: &mut u64) -> Tensor {
    let mut next = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*seed >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.5
    };
    let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}
