//! A plan as a graph: known names, no cycle, predecessors first.

use std::collections::{BTreeSet, HashMap};

use crate::{api::StepId, journal::record::PlannedStep};

/// How large a plan may be.
#[derive(Debug, Clone, Copy)]
pub struct PlanLimits {
    /// Steps.
    pub steps_max: usize,
}

impl Default for PlanLimits {
    /// 1,000 steps: a plan beyond that is a `map` over a list in disguise.
    fn default() -> Self {
        Self { steps_max: 1_000 }
    }
}

/// Why a plan is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No steps.
    #[error("the plan has no steps")]
    Empty,
    /// Too many steps.
    #[error("the plan has {found} steps; at most {limit} are taken")]
    TooLarge {
        /// How many it has.
        found: usize,
        /// How many it may have.
        limit: usize,
    },
    /// Two steps of one name.
    #[error("two steps are named {0}")]
    Duplicate(StepId),
    /// A predecessor that is no step.
    #[error("step {step} comes after {after}, which is not in the plan")]
    UnknownPredecessor {
        /// The step.
        step: StepId,
        /// What it names.
        after: StepId,
    },
    /// Steps that wait for each other.
    #[error("these steps wait for each other: {}", .0.iter().map(StepId::as_str).collect::<Vec<_>>().join(", "))]
    Cycle(Vec<StepId>),
    /// Something is wrong within one step.
    #[error("step {step}: {what}")]
    Step {
        /// The step.
        step: StepId,
        /// What is wrong.
        what: String,
    },
}

/// Puts predecessors first, keeping the given order otherwise.
///
/// # Errors
///
/// Fails where the steps are not a graph within the limits.
pub fn order_steps(steps: Vec<PlannedStep>, limits: PlanLimits) -> Result<Vec<PlannedStep>, PlanError> {
    if steps.is_empty() {
        return Err(PlanError::Empty);
    }
    if steps.len() > limits.steps_max {
        return Err(PlanError::TooLarge { found: steps.len(), limit: limits.steps_max });
    }
    check_names(&steps)?;
    // Kahn's algorithm, always taking the earliest ready step so that the author's order is kept.
    let index: HashMap<&StepId, usize> = steps.iter().enumerate().map(|(at, step)| (&step.id, at)).collect();
    let mut missing: Vec<usize> = steps.iter().map(|step| step.after.iter().collect::<BTreeSet<_>>().len()).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); steps.len()];
    for (at, step) in steps.iter().enumerate() {
        for before in step.after.iter().collect::<BTreeSet<_>>().into_iter().filter_map(|id| index.get(id)) {
            followers.get_mut(*before).expect("an index of this plan").push(at);
        }
    }
    let mut ready: BTreeSet<usize> = (0..).zip(&missing).filter(|(_, count)| **count == 0).map(|(at, _)| at).collect();
    let mut order = Vec::with_capacity(steps.len());
    while let Some(at) = ready.pop_first() {
        order.push(at);
        for &follower in followers.get(at).into_iter().flatten() {
            let count = missing.get_mut(follower).expect("an index of this plan");
            *count -= 1;
            if *count == 0 {
                ready.insert(follower);
            }
        }
    }
    if order.len() < steps.len() {
        let stuck = steps.iter().zip(&missing).filter(|(_, count)| **count > 0).map(|(step, _)| step.id.clone());
        return Err(PlanError::Cycle(stuck.take(20).collect()));
    }
    let mut slots: Vec<Option<PlannedStep>> = steps.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|at| slots.get_mut(at).and_then(Option::take)).collect())
}

fn check_names(steps: &[PlannedStep]) -> Result<(), PlanError> {
    let mut names = BTreeSet::new();
    for step in steps {
        if !names.insert(&step.id) {
            return Err(PlanError::Duplicate(step.id.clone()));
        }
    }
    for step in steps {
        if let Some(after) = step.after.iter().find(|after| !names.contains(after)) {
            return Err(PlanError::UnknownPredecessor { step: step.id.clone(), after: after.clone() });
        }
    }
    Ok(())
}
