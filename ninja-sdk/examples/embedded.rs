//! The engine in this process: `cargo run -p ninja-sdk --features embedded --example embedded -- "Write a haiku"`.

use ninja_sdk::{
    EngineOptions, Ninja, SdkError,
    api::{StreamFrame, SubmitTask},
};

#[tokio::main]
async fn main() -> Result<(), SdkError> {
    let goal = std::env::args().nth(1).unwrap_or_else(|| "Write a haiku about rust".into());
    let mut options = EngineOptions::new("ninja-data");
    options.env = std::env::vars().collect();
    let ninja = Ninja::embedded(options).await?;
    // With a daemon: let ninja: Ninja = Client::builder().url("http://127.0.0.1:7420").key(key).build()?.into();

    let task = ninja.submit_task(&SubmitTask { goal, ..SubmitTask::default() }).await?;
    let mut events = ninja.events(task.id, None).await?;
    while let Some(frame) = events.next().await {
        if let StreamFrame::Delta { text, .. } = frame? {
            print!("{text}");
        }
    }
    let task = ninja.task(task.id).await?;
    println!("\n{}: {} tokens", task.status.as_str(), task.usage.tokens());
    ninja.close().await;
    Ok(())
}
