//! Streamed model calls: what the router and an adapter add to bare `reqwest`, and what a daemon holds while many stream.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use memchr::memmem;
use ninja_core::{
    api::ModelRef,
    config::Config,
    providers::{ChatRequest, ImageSource, Message, Prices, ProviderConfig, ProviderKind, Providers, Sources},
};
use ninja_tests::{Process, cpu_of};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{self, Connection, Target},
    report::{Bar, Figure, Report, Samples},
    start::megabytes,
    stub::{self, PAUSE, PIECES},
    targets::{self, Targets},
};

/// Streams that are held at a time.
const STREAMS: usize = 200;
/// How much memory may grow while they are held, in megabytes: their text so far is a few kilobytes each.
const GROWTH_MB_MAX: f64 = 5.0;
/// All streams have begun by then.
const BEGUN: Duration = Duration::from_secs(3);
const SAMPLED_EVERY: Duration = Duration::from_millis(250);
const DATA: &str = "streams";

/// Measures both.
pub(crate) async fn measure(targets: &Targets, quick: bool, report: &mut Report) -> Result<()> {
    let model = targets.stub().await?;
    for (name, pieces) in [("stub", 1), ("long", PIECES)] {
        let kind = if pieces == 1 {
            "a short streamed call".to_owned()
        } else {
            format!("a streamed call of {pieces} pieces")
        };
        eprintln!("bench: {kind}");
        let mut calls = Calls::prepare(&model, name, pieces).await?;
        let (rounds, count) = if quick { (3, 100) } else { (9, 500) };
        let (mut ninja, mut floor) = (Side::default(), Side::default());
        calls.through_ninja(count).await?;
        calls.through_reqwest(count).await?;
        for round in 0..rounds {
            // In turns, so that neither has the quicker half of a minute.
            if round % 2 == 0 {
                ninja.push(calls.through_ninja(count).await?);
                floor.push(calls.through_reqwest(count).await?);
            } else {
                floor.push(calls.through_reqwest(count).await?);
                ninja.push(calls.through_ninja(count).await?);
            }
        }
        let name = |what: &str| format!("{kind}: {what}");
        let added = ninja.micros.median() - floor.micros.median();
        report.add(Figure::ratio(name("time"), "µs", &ninja.micros, &floor.micros));
        report.add(Figure::alone(name("added to bare reqwest"), "µs", Samples::one(added)));
        report.add(Figure::ratio(name("processor time"), "µs", &ninja.cpu_micros, &floor.cpu_micros));
    }
    hold(targets, &model, report).await
}

/// What rounds of calls came to.
#[derive(Default)]
struct Side {
    micros: Samples,
    cpu_micros: Samples,
}

impl Side {
    fn push(&mut self, (micros, cpu_micros): (f64, f64)) {
        self.micros.push(micros);
        self.cpu_micros.push(cpu_micros);
    }
}

/// The same call both ways, one after the other in this process.
struct Calls {
    providers: Providers,
    model: ModelRef,
    pieces: usize,
    http: reqwest::Client,
    url: String,
    body: Bytes,
}

impl Calls {
    async fn prepare(stub: &Process, model: &str, pieces: usize) -> Result<Self> {
        let base_url = format!("http://{}/v1", stub.address);
        let provider = ProviderConfig {
            base_url: Some(base_url.clone()),
            model: Some(model.to_owned()),
            context_window: Some(32_768),
            ..ProviderConfig::new(ProviderKind::Openai)
        };
        let config = Config { providers: BTreeMap::from([("stub".to_owned(), provider)]), ..Config::default() };
        let (prices, env) = (Prices::load(None)?, |_: &str| None);
        let providers = Providers::discover(&Sources::of(&config, &prices, &env), || 0.5).await;
        let model = ModelRef { provider: "stub".to_owned(), model: model.to_owned() };
        let (http, url) = (reqwest::Client::builder().build()?, format!("{base_url}/chat/completions"));
        let mut calls = Self { providers, model, pieces, http, url, body: Bytes::new() };
        // The very bytes that Ninja sends are sent by the other side too.
        calls.through_ninja(1).await?;
        let target = Target { address: stub.address, key: None };
        (_, calls.body) = Connection::open(&target).await?.ask(Method::GET, stub::LAST, Bytes::new()).await?;
        Ok(calls)
    }

    async fn through_ninja(&self, count: usize) -> Result<(f64, f64)> {
        timed(count, async || {
            let told = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&told);
            let deltas = Arc::new(move |text: &str| {
                counter.fetch_add(usize::from(!text.is_empty()), Ordering::Relaxed);
            });
            let answer = self.providers.chat(&self.model, request(), deltas, CancellationToken::new()).await?;
            ensure!(told.load(Ordering::Relaxed) >= self.pieces, "pieces are missing");
            ensure!(!answer.text.is_empty(), "the answer is empty");
            Ok(())
        })
        .await
    }

    async fn through_reqwest(&mut self, count: usize) -> Result<(f64, f64)> {
        timed(count, async || {
            let request = self.http.post(&self.url).header(reqwest::header::CONTENT_TYPE, "application/json");
            let mut answer = request.body(self.body.clone()).send().await?;
            let mut ended = false;
            while let Some(chunk) = answer.chunk().await? {
                ended |= memmem::find(&chunk, b"[DONE]").is_some();
            }
            ensure!(ended, "the stream did not end");
            Ok(())
        })
        .await
    }
}

/// Returns how long one call took and how much processor time this process gave it, in microseconds.
async fn timed(count: usize, call: impl AsyncFn() -> Result<()>) -> Result<(f64, f64)> {
    let (started, before) = (Instant::now(), cpu_of("self")?);
    for _ in 0..count {
        call().await?;
    }
    let cpu = cpu_of("self")?.saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    Ok((each(started.elapsed()), each(cpu)))
}

fn request() -> ChatRequest {
    ChatRequest {
        model: String::new(),
        messages: vec![
            Message::System { text: "You are helpful.".to_owned() },
            Message::user("Say something about the task. ".repeat(50)),
        ],
        images: ImageSource::default(),
        tools: Vec::new().into(),
        schema: None,
        max_output_tokens: 1_024,
    }
}

/// Follows as many tasks as there are streams, each of which lasts for seconds, and watches the daemon's memory meanwhile.
async fn hold(targets: &Targets, model: &Process, report: &mut Report) -> Result<()> {
    let lasts = PAUSE * u32::try_from(PIECES)?;
    eprintln!("bench: {STREAMS} streams of {} s at a time", lasts.as_secs());
    let ninja = targets.ninja(DATA, model).await?;
    let target = targets.target(DATA, &ninja)?;
    let pool = client::pool(&target, STREAMS).await?;
    // What every task needs is there before it is measured, and so is what as many short ones leave.
    client::run_tasks(&pool, &targets::with_model("stub/stub"), STREAMS, 1).await?;
    let idle = ninja.memory()?;
    let task = targets::with_model("stub/slow");
    let mut held = Vec::new();
    let load = client::run_tasks(&pool, &task, STREAMS, 1);
    let watch = async {
        let started = Instant::now();
        while started.elapsed() < lasts {
            tokio::time::sleep(SAMPLED_EVERY).await;
            if started.elapsed() > BEGUN {
                held.push(ninja.memory()?);
            }
        }
        anyhow::Ok(())
    };
    let (load, watched) = tokio::join!(load, watch);
    watched?;
    ensure!(load?.took < lasts * 2, "the streams did not run at the same time");
    let (first, most) =
        (held.first().context("nothing was sampled")?, held.iter().max().context("nothing was sampled")?);
    let name = |what: &str| format!("{STREAMS} streams held for {} s: {what}", lasts.as_secs());
    let grown = megabytes(most.saturating_sub(*first));
    report.add(Figure::alone(name("memory"), "MB", Samples::one(megabytes(*most))));
    report.add(Figure::alone(name("memory before"), "MB", Samples::one(megabytes(idle))));
    report.add(Figure::alone(name("growth meanwhile"), "MB", Samples::one(grown)).with_bar(Bar::AtMost(GROWTH_MB_MAX)));
    Ok(())
}
