//! Which task a word is for, and where its giver saw it.

use crate::{actors::TaskMsg, api::TaskId};

/// A task, and the state of it that somebody saw, where a word is to hold for that state alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskAt {
    /// Which.
    pub task: TaskId,
    /// The number that its last record may have, one of these; any where there is no condition. It is looked at where the
    /// word is taken, so nothing comes between.
    pub seqs: Option<Vec<u64>>,
}

impl From<TaskId> for TaskAt {
    fn from(task: TaskId) -> Self {
        Self { task, seqs: None }
    }
}

impl TaskAt {
    /// Puts the condition on a message.
    pub(super) fn guard(&self, message: TaskMsg) -> TaskMsg {
        match &self.seqs {
            None => message,
            Some(seqs) => TaskMsg::IfAt { seqs: seqs.clone(), then: Box::new(message) },
        }
    }
}
