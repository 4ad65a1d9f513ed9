//! Whether a server takes new work: the same for every transport.

use tokio::sync::watch;

/// Whether new work is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It is.
    #[default]
    Open,
    /// It is refused, until the operator resumes. Connections are still accepted, so that everybody can be told.
    Draining,
    /// It is for the process that has taken over: no connection is accepted any more. There is no way back.
    Leaving,
}

/// Where the server says whether it takes new work.
#[derive(Clone, Debug, Default)]
pub struct Intake(watch::Sender<Stage>);

impl Intake {
    /// How it is now.
    pub fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    /// True while new work is taken.
    pub fn is_open(&self) -> bool {
        self.stage() == Stage::Open
    }

    /// True while new work is refused.
    pub fn is_draining(&self) -> bool {
        self.stage() == Stage::Draining
    }

    /// Takes nothing new until it is resumed.
    pub fn drain(&self) {
        self.change(Stage::Open, Stage::Draining);
    }

    /// Takes new work again. False where it is not drained.
    pub fn resume(&self) -> bool {
        self.change(Stage::Draining, Stage::Open)
    }

    /// Leaves new work to another process, for good.
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

    /// Returns once no new work is taken.
    pub async fn closed(&self) {
        self.wait_for(|stage| stage != Stage::Open).await;
    }

    /// Returns once another process has taken over.
    pub async fn left(&self) {
        self.wait_for(|stage| stage == Stage::Leaving).await;
    }

    async fn wait_for(&self, is: impl Fn(Stage) -> bool) {
        // The sender is held here: there is no end but the stage.
        self.0.subscribe().wait_for(|stage| is(*stage)).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drained_server_can_resume_and_one_that_has_been_replaced_cannot() {
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
