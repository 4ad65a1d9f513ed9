//! Whether a server accepts new work, shared by all transports.

use tokio::sync::watch;

/// Whether new work is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Accepted.
    #[default]
    Open,
    /// Rejected until the operator resumes. Connections are still accepted, so that clients get an error.
    Draining,
    /// Left to a successor process: no new connections are accepted. This is final.
    Leaving,
}

/// The current stage, shared and observable.
#[derive(Clone, Debug, Default)]
pub struct Intake(watch::Sender<Stage>);

impl Intake {
    /// The current stage.
    pub fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    /// Whether new work is accepted.
    pub fn is_open(&self) -> bool {
        self.stage() == Stage::Open
    }

    /// Whether new work is rejected.
    pub fn is_draining(&self) -> bool {
        self.stage() == Stage::Draining
    }

    /// Rejects new work until resumed.
    pub fn drain(&self) {
        self.change(Stage::Open, Stage::Draining);
    }

    /// Accepts new work again. Returns false unless the server was draining.
    pub fn resume(&self) -> bool {
        self.change(Stage::Draining, Stage::Open)
    }

    /// Leaves new work to another process, permanently.
    pub fn leave(&self) {
        self.0.send_replace(Stage::Leaving);
    }

    fn change(&self, from: Stage, to: Stage) -> bool {
        self.0.send_if_modified(|stage| {
            let changes = *stage == from;
            if changes {
                *stage = to;
            }
            changes
        })
    }

    /// Returns once no new work is accepted.
    pub async fn closed(&self) {
        self.wait_for(|stage| stage != Stage::Open).await;
    }

    /// Returns once another process has taken over.
    pub async fn left(&self) {
        self.wait_for(|stage| stage == Stage::Leaving).await;
    }

    async fn wait_for(&self, is: impl Fn(Stage) -> bool) {
        // `self` holds the sender, so the wait ends only with a stage.
        self.0.subscribe().wait_for(|stage| is(*stage)).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drained_server_can_resume_and_a_replaced_one_cannot() {
        let intake = Intake::default();
        assert!(!intake.resume() && intake.is_open());
        intake.drain();
        intake.closed().await;
        assert_eq!(intake.stage(), Stage::Draining);
        assert!(intake.resume() && intake.is_open());
        intake.leave();
        intake.left().await;
        intake.drain();
        assert!(!intake.resume());
        assert_eq!(intake.stage(), Stage::Leaving);
    }
}
