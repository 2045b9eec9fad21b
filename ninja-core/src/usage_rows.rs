//! What model calls used, counted in rows: one for each user, day, model and agent. Rows of other counters have ids that are no JSON.
//!
//! A call is counted in the commit that ends it, so a crash neither loses nor doubles one, and nobody reads logs to sum up.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{
    api::{ModelRef, Usage, UserId},
    journal::{
        counts,
        store::{Count, DocKind, Store, StoreError},
    },
    machine::Spent,
};

/// The id of a row, as JSON: whose, when, which model, which agent. In this order, so that a user's days are together.
#[derive(Serialize, Deserialize)]
struct Row(UserId, Date, ModelRef, String);

/// Returns what is added to the rows of a user.
pub(crate) fn counts_of(user: UserId, spent: &[Spent]) -> Vec<Count> {
    let mut rows: BTreeMap<String, Usage> = BTreeMap::new();
    for Spent { on, model, agent, usage } in spent {
        let row = Row(user, *on, model.clone(), agent.clone());
        let row = serde_json::to_string(&row).expect("a row's id is text");
        rows.entry(row).or_default().add(usage);
    }
    let count = |(row, usage): (String, Usage)| {
        let add = numbers(&usage).map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        Count { row, add: add.to_vec() }
    };
    rows.into_iter().map(count).collect()
}

/// The numbers of a row. New ones come at the end, so that old rows read.
fn numbers(usage: &Usage) -> [u64; 9] {
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.model_calls,
        usage.tool_calls,
        usage.estimated_tokens,
        usage.cached_input_tokens,
        usage.reasoning_tokens,
        usage.cost_micro_usd,
        usage.unpriced_calls,
    ]
}

fn usage_of(numbers: &[i64]) -> Usage {
    let number = |index: usize| numbers.get(index).map_or(0, |number| u64::try_from(*number).unwrap_or(0));
    Usage {
        input_tokens: number(0),
        output_tokens: number(1),
        model_calls: number(2),
        tool_calls: number(3),
        estimated_tokens: number(4),
        cached_input_tokens: number(5),
        reasoning_tokens: number(6),
        cost_micro_usd: number(7),
        unpriced_calls: number(8),
    }
}

/// Reads the rows of a user.
///
/// # Errors
///
/// Fails where the disk cannot be read, or a row is none.
pub(crate) fn of_user(store: &dyn Store, user: UserId) -> Result<Vec<Spent>, StoreError> {
    // The ids of all rows of a user begin with the user's own.
    let mut prefix = serde_json::to_string(&(user,)).expect("a row's id is text");
    prefix.pop();
    let rows = read_rows(store, &prefix)?;
    Ok(rows.into_iter().map(|(_, spent)| spent).collect())
}

/// Reads the rows of all users.
///
/// # Errors
///
/// Those of [`of_user`].
pub(crate) fn of_all(store: &dyn Store) -> Result<Vec<(UserId, Spent)>, StoreError> {
    // Those of other counters begin otherwise.
    read_rows(store, "[")
}

fn read_rows(store: &dyn Store, prefix: &str) -> Result<Vec<(UserId, Spent)>, StoreError> {
    let read = |(id, bytes): (String, bytes::Bytes)| {
        let damaged = |error| StoreError::Corrupt(format!("a count of usage cannot be read: {error}"));
        let Row(user, on, model, agent) = serde_json::from_str(&id).map_err(damaged)?;
        Ok((user, Spent { on, model, agent, usage: usage_of(&counts::read(&bytes)?) }))
    };
    store.list_docs(DocKind::Count, prefix)?.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::journal::{memory::MemoryStore, store::Commit};

    #[tokio::test]
    async fn what_is_counted_is_read_by_user_and_equal_rows_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::open(folder.path()).unwrap();
        let model = ModelRef { provider: "p".to_owned(), model: "a/\"b\"".to_owned() };
        let usage =
            Usage { input_tokens: 1, output_tokens: 2, cost_micro_usd: 9, unpriced_calls: 8, ..Usage::default() };
        let spent = |agent: &str| Spent {
            on: "2026-11-23".parse().unwrap(),
            model: model.clone(),
            agent: agent.to_owned(),
            usage,
        };
        let [one, other] = [1, 2].map(|n| UserId::from_uuid(Uuid::from_u128(n)));
        for (user, agents) in [(one, vec!["coder", "coder", "writer"]), (other, vec!["coder"])] {
            let spent: Vec<Spent> = agents.into_iter().map(spent).collect();
            let counts = counts_of(user, &spent);
            store.commit(Commit { counts, ..Commit::default() }).await.unwrap();
        }
        let mut twice = spent("coder");
        twice.usage.add(&usage);
        let other_row = vec![Count { row: format!("files/{one}"), add: vec![1] }];
        store.commit(Commit { counts: other_row, ..Commit::default() }).await.unwrap();
        assert_eq!(of_all(&store).unwrap().len(), 3);
        assert_eq!(of_user(&store, one).unwrap(), [twice, spent("writer")]);
        assert_eq!(of_user(&store, other).unwrap(), [spent("coder")]);
    }
}
