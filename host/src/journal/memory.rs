//! A journal that ends with the process.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::{Journal, JournalError};
use crate::config::Target;
use crate::pipeline::Step;
use crate::targets::Delivery;

/// Hands deliveries straight to the targets' queues.
pub struct MemoryJournal {
    targets: BTreeMap<String, Target>,
    queues: BTreeMap<String, mpsc::Sender<Delivery>>,
}

impl MemoryJournal {
    /// A journal for targets, each with its queue.
    pub fn new(
        targets: BTreeMap<String, Target>,
        queues: BTreeMap<String, mpsc::Sender<Delivery>>,
    ) -> Self {
        Self { targets, queues }
    }
}

impl Journal for MemoryJournal {
    fn commit(&mut self, step: Step) -> Result<(), JournalError> {
        let mut deliveries = Vec::new();
        for verdict in &step.verdicts {
            for name in &verdict.targets {
                let Some(target) = self.targets.get(name) else { continue };
                let delivery =
                    Delivery::new(name, target, verdict).map_err(|fault| JournalError::Render {
                        verdict: verdict.id.to_string(),
                        target: name.clone(),
                        why: fault.to_string(),
                    })?;
                deliveries.push(delivery);
            }
        }
        for delivery in deliveries {
            let target = delivery.target.clone();
            let Some(queue) = self.queues.get(&target) else { continue };
            queue.blocking_send(delivery).map_err(|_| JournalError::Closed { target })?;
        }
        Ok(())
    }
}
