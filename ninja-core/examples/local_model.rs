//! Measures the local model: `cargo run -p ninja-core --features local-model --example local_model -- MODELS_DIR [PROMPT]`.
//!
//! Installs the default model into the directory if it is not there, and says so first. Prints time to load, tokens
//! read and written per second, memory, and processor time a token, which means something even where the cores are shared
//! (with `CANDLE_NUM_THREADS=1 RAYON_NUM_THREADS=1`: candle's threads otherwise burn time waiting for each other).

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ninja_core::providers::local::{self, DEFAULT_MODEL, InstallRequest, LocalModel, ModelSource};
use ninja_core::providers::{Answer, ChatRequest, Message, Provider};
use serde_json::json;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error>;

/// A text of known, boring content; about 25 tokens a time.
const FILLER: &str =
    "The quick brown fox jumps over the lazy dog while the river runs slowly past the old mill at dusk. ";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let models_dir = args.next().ok_or("give the directory of the models")?;
    let prompt = args.next().unwrap_or_else(|| "Write three sentences about the sea.".to_owned());

    #[expect(clippy::disallowed_methods, reason = "a program of its own reads its environment itself")]
    let request = InstallRequest::new(ModelSource::Default, &std::env::vars().collect());
    println!("{}", local::plan(&request, models_dir.as_ref()).await?);
    let installed = timed(local::install(&request, models_dir.as_ref(), &|_| ())).await;
    println!("{} after {:.1?}", installed.0?.name, installed.1);

    let model = LocalModel::new(models_dir);
    println!("{}: {}", model.check().await?, serde_json::to_string(&model.model_info(DEFAULT_MODEL))?);
    println!("memory before loading: {}", memory());
    let (_, load) = call(&model, "Hi", 1, None).await?;
    println!("loaded and first token: {load:.2?}; memory: {}", memory());

    for repeats in [4, 20, 70] {
        measure(&model, repeats).await?;
    }
    println!("memory: {}\n", memory());

    let (answer, time) = call(&model, &prompt, 256, None).await?;
    println!("\n-> {:?} in {time:.2?}: {:?}\n", answer.usage, answer.finish);
    let schema = json!({"type": "object", "required": ["title", "keywords", "words"], "properties": {
        "title": {"type": "string", "maxLength": 60},
        "keywords": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 3},
        "words": {"type": "integer", "minimum": 0, "maximum": 1000},
    }, "additionalProperties": false});
    let (answer, time) = call(&model, &prompt, 256, Some(schema)).await?;
    println!("\n-> {:?} in {time:.2?}: {:?}", answer.usage, answer.finish);
    Ok(())
}

/// Reads a prompt of some length, then writes under the difference between one token and many.
async fn measure(model: &LocalModel, repeats: usize) -> Result<(), Failure> {
    let prompt = format!("{}\nList as many English words as you can, one a line.", FILLER.repeat(repeats));
    let start = processor_seconds();
    let (short, reading) = silent(model, &prompt, 1).await?;
    let middle = processor_seconds();
    let (long, both) = silent(model, &prompt, 65).await?;
    let (read, written) = (short.usage.input_tokens, long.usage.output_tokens - short.usage.output_tokens);
    let writing_seconds = processor_seconds() - middle - (middle - start);
    println!(
        "read {read} tokens: {:.0} tokens/s, {:.1} ms of processor each; wrote {written} after them: {:.0} tokens/s, {:.1} ms each",
        read as f64 / reading.as_secs_f64(),
        (middle - start) * 1e3 / read as f64,
        written as f64 / both.saturating_sub(reading).as_secs_f64(),
        writing_seconds * 1e3 / written as f64,
    );
    Ok(())
}

/// Returns the processor time of this process, to a hundredth of a second.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name may hold spaces; user and system time are the 12th and 13th field after its closing bracket.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

async fn silent(model: &LocalModel, prompt: &str, tokens: u32) -> Result<(Answer, Duration), Failure> {
    let (answer, time) = timed(model.chat(request(prompt, tokens), Arc::new(|_| ()), CancellationToken::new())).await;
    Ok((answer?, time))
}

async fn call(
    model: &LocalModel,
    prompt: &str,
    tokens: u32,
    schema: Option<serde_json::Value>,
) -> Result<(Answer, Duration), Failure> {
    let request = ChatRequest { schema, ..request(prompt, tokens) };
    let show = |text: &str| {
        print!("{text}");
        drop(std::io::stdout().flush());
    };
    let (answer, time) = timed(model.chat(request, Arc::new(show), CancellationToken::new())).await;
    Ok((answer?, time))
}

fn request(prompt: &str, max_output_tokens: u32) -> ChatRequest {
    ChatRequest {
        model: DEFAULT_MODEL.to_owned(),
        messages: vec![Message::user(prompt)],
        tools: Arc::default(),
        schema: None,
        images: Default::default(),
        max_output_tokens,
    }
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let done = work.await;
    (done, start.elapsed())
}

/// Returns the memory that the process holds, and the most it has held.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}
