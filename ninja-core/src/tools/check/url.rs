//! `check_url`: whether an address answers what was promised.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep, timeout_at};

use super::{file::to_hex, verdict};
use crate::{
    api::EffectClass,
    egress::{Egress, EgressError, Fetched, Wanted},
    providers::ToolDefinition,
    tools::{
        Tool, ToolError, ToolOutput, ToolRun,
        tool::define,
        web::text::{clean, decode},
    },
};

/// What was put online a moment ago is not there at once everywhere.
const TRIES_MAX: u32 = 3;

/// For all tries together.
const TOTAL: Duration = Duration::from_secs(10);

/// Between two tries. Most of what is not yet there needs a moment, and some of it seconds.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks at an address.
#[derive(Debug, Clone)]
pub struct CheckUrl {
    pub(in crate::tools) egress: Arc<Egress>,
    /// Between two tries.
    pub(in crate::tools) pause: Duration,
}

impl CheckUrl {
    /// Returns the tool; it fetches through `egress`.
    pub fn new(egress: Arc<Egress>) -> Self {
        Self { egress, pause: PAUSE }
    }
}

#[derive(Deserialize)]
struct Args {
    url: String,
    status: Option<u16>,
    contains: Option<String>,
}

impl Tool for CheckUrl {
    fn definition(&self) -> ToolDefinition {
        define(
            "check_url",
            "Checks that a public address answers an HTTP GET as was promised, after redirects. Tries three times within 10 seconds.",
            json!({
                "url": { "type": "string", "minLength": 1, "description": "Address that begins with https:// or http://" },
                "status": { "type": "integer", "minimum": 100, "maximum": 599, "description": "Its status; any of 200 to 299 if left out" },
                "contains": { "type": "string", "minLength": 1, "description": "Text that its body must contain" },
            }),
            &["url"],
        )
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Pure
    }

    fn run<'a>(&'a self, call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let args: Args = call.parse()?;
            tokio::select! {
                () = call.cancel.cancelled() => Err(ToolError::Cancelled { killed: 0 }),
                output = self.check(&args) => Ok(output),
            }
        })
    }
}

impl CheckUrl {
    async fn check(&self, args: &Args) -> ToolOutput {
        let deadline = Instant::now() + TOTAL;
        let mut turn = 0;
        loop {
            turn += 1;
            let begun = Instant::now();
            let fetched = timeout_at(deadline, self.egress.fetch(&args.url, Wanted::Anything)).await;
            let fetched = fetched.unwrap_or_else(|_| Err(too_late(&args.url)));
            let is_last = turn == TRIES_MAX || Instant::now() + self.pause >= deadline;
            let (mut seen, why) = match &fetched {
                Err(refused) => (json!({ "url": args.url }), Some(clean(&refused.to_string()))),
                Ok(fetched) => (tell(fetched), judge(fetched, args)),
            };
            let may_change = fetched.as_ref().map_or_else(EgressError::is_temporary, |_| why.is_some());
            if is_last || !may_change {
                let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                if let Some(fields) = seen.as_object_mut() {
                    fields.extend([("ms".to_owned(), ms.into()), ("tries".to_owned(), turn.into())]);
                }
                return verdict(seen, why);
            }
            sleep(self.pause).await;
        }
    }
}

fn too_late(url: &str) -> EgressError {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    EgressError::Timeout { host: host.unwrap_or_default(), seconds: TOTAL.as_secs() }
}

fn tell(fetched: &Fetched) -> Value {
    let mut told = json!({ "url": fetched.url.as_str(), "status": fetched.status, "bytes": fetched.body.len() });
    if let Some(fields) = told.as_object_mut() {
        // The hash of a part would be taken for that of the whole.
        match fetched.whole {
            true => fields.insert("sha256".to_owned(), to_hex(&Sha256::digest(&fetched.body)).into()),
            false => fields.insert("truncated".to_owned(), true.into()),
        };
    }
    told
}

fn judge(fetched: &Fetched, args: &Args) -> Option<String> {
    let status = fetched.status;
    match args.status {
        Some(wanted) if wanted != status => return Some(format!("it answers with status {status}, not {wanted}")),
        None if !(200..=299).contains(&status) => return Some(format!("it answers with status {status}")),
        Some(_) | None => {}
    }
    let wanted = args.contains.as_deref()?;
    match decode(&fetched.body, fetched.content_type.as_deref()).contains(wanted) {
        true => None,
        false if fetched.whole => Some(format!("its body does not contain `{wanted}`")),
        false => Some(format!("the part of its body that was read does not contain `{wanted}`")),
    }
}
