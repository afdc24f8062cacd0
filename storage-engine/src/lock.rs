//! WORM as an engine primitive: may this version go, may this lock change? Pure, and fails closed.
//!
//! - A legal hold forbids removal, whatever else is set.
//! - Compliance retention forbids removal until its time, to everybody, and only grows.
//! - Governance retention does the same except for a caller who brings the right to bypass it.
//! - `now_ms` is the highest time ever journaled, so setting a clock back frees nothing.

use crate::error::{Error, Result};

/// Who may lift a retention early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionMode {
    /// A caller with the bypass right may.
    Governance,
    /// Nobody may.
    Compliance,
}

/// "Not before": a mode and a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Who may lift it early.
    pub mode: RetentionMode,
    /// Milliseconds since 1970 until which the version stays.
    pub until_ms: u64,
}

/// "Until somebody says so".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LegalHold {
    /// Nobody ever said anything.
    #[default]
    NeverSet,
    /// Lifted, or set to be off from the first.
    Off,
    /// The version stays.
    On,
}

/// The lock of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lock {
    /// Retention, if any was ever set.
    pub retention: Option<Retention>,
    /// Legal hold.
    pub legal_hold: LegalHold,
}

/// The right that a caller brings against governance retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bypass {
    /// None.
    #[default]
    None,
    /// Governance retention does not bind this caller.
    Governance,
}

impl LegalHold {
    /// What it becomes when it is set to be on, or not to be.
    pub fn set(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

impl Lock {
    /// May the version be removed or replaced now?
    pub fn permit_removal(&self, now_ms: u64, bypass: Bypass) -> Result<()> {
        if self.legal_hold == LegalHold::On {
            return Err(Error::Locked { reason: "legal hold is on" });
        }
        let Some(retention) = self.retention else { return Ok(()) };
        if now_ms >= retention.until_ms {
            return Ok(());
        }
        match (retention.mode, bypass) {
            (RetentionMode::Compliance, _) => {
                Err(Error::Locked { reason: "compliance retention has not ended" })
            }
            (RetentionMode::Governance, Bypass::None) => {
                Err(Error::Locked { reason: "governance retention has not ended" })
            }
            (RetentionMode::Governance, Bypass::Governance) => Ok(()),
        }
    }

    /// May this lock become `next` now?
    pub fn permit_change(&self, next: &Lock, now_ms: u64, bypass: Bypass) -> Result<()> {
        let Some(held) = self.retention else { return Ok(()) };
        if now_ms >= held.until_ms {
            return Ok(());
        }
        let extends =
            next.retention.is_some_and(|n| n.until_ms >= held.until_ms && n.mode == held.mode);
        if extends {
            return Ok(());
        }
        match (held.mode, bypass) {
            (RetentionMode::Governance, Bypass::Governance) => Ok(()),
            (RetentionMode::Governance, Bypass::None) => {
                Err(Error::Locked { reason: "governance retention can only be extended" })
            }
            (RetentionMode::Compliance, _) => {
                Err(Error::Locked { reason: "compliance retention can only be extended" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retained(mode: RetentionMode, until_ms: u64) -> Lock {
        Lock { retention: Some(Retention { mode, until_ms }), legal_hold: LegalHold::NeverSet }
    }

    #[test]
    fn removal_follows_the_table() {
        use Bypass::{Governance as Pass, None as No};
        use RetentionMode::{Compliance, Governance};
        let held = Lock { retention: None, legal_hold: LegalHold::On };
        let lifted = Lock { retention: None, legal_hold: LegalHold::Off };
        let held_and_expired = Lock { legal_hold: LegalHold::On, ..retained(Governance, 5) };
        for (lock, now_ms, bypass, allowed) in [
            (Lock::default(), 0, No, true),
            (lifted, 0, No, true),
            (held, 0, No, false),
            (held, u64::MAX, Pass, false),
            (held_and_expired, 10, Pass, false),
            (retained(Governance, 10), 9, No, false),
            (retained(Governance, 10), 9, Pass, true),
            (retained(Governance, 10), 10, No, true),
            (retained(Compliance, 10), 9, No, false),
            (retained(Compliance, 10), 9, Pass, false),
            (retained(Compliance, 10), 10, No, true),
        ] {
            let got = lock.permit_removal(now_ms, bypass).is_ok();
            assert_eq!(got, allowed, "{lock:?} at {now_ms} with {bypass:?}");
        }
    }

    #[test]
    fn change_follows_the_table() {
        use Bypass::{Governance as Pass, None as No};
        use RetentionMode::{Compliance, Governance};
        let clear = Lock::default();
        for (from, to, now_ms, bypass, allowed) in [
            (clear, retained(Compliance, 10), 0, No, true),
            (retained(Governance, 10), retained(Governance, 11), 5, No, true),
            (retained(Governance, 10), retained(Compliance, 10), 5, No, false),
            (retained(Governance, 10), retained(Compliance, 9), 5, Pass, true),
            (retained(Governance, 10), retained(Governance, 9), 5, No, false),
            (retained(Governance, 10), retained(Governance, 9), 5, Pass, true),
            (retained(Governance, 10), clear, 5, No, false),
            (retained(Governance, 10), clear, 5, Pass, true),
            (retained(Compliance, 10), retained(Compliance, 11), 5, No, true),
            (retained(Compliance, 10), retained(Compliance, 9), 5, Pass, false),
            (retained(Compliance, 10), retained(Governance, 11), 5, Pass, false),
            (retained(Compliance, 10), clear, 5, Pass, false),
            (retained(Compliance, 10), clear, 10, No, true),
        ] {
            let got = from.permit_change(&to, now_ms, bypass).is_ok();
            assert_eq!(got, allowed, "{from:?} to {to:?} at {now_ms} with {bypass:?}");
        }
    }
}
