//! Bounded amounts shared by many clients, each limited to a share.

use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// Number of shares: one client gets at most a quarter.
const SHARES: usize = 4;

/// The client charged for an amount.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// The principal of a token.
    Principal(Arc<str>),
    /// Clients without a token, by address.
    Address(IpAddr),
    /// Local clients if no token is required. They are indistinguishable, so they share the whole.
    Local,
}

/// The limit that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// The client's share.
    Share(usize),
    /// The whole.
    Whole(usize),
}

/// A bounded amount.
pub(super) struct Shares {
    whole: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by: HashMap<Holder, usize>,
}

impl Shares {
    pub(super) fn new(whole: usize) -> Arc<Self> {
        Arc::new(Self { whole, taken: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock()
    }

    /// The share of one client.
    pub(super) fn share(&self) -> usize {
        (self.whole / SHARES).max(1)
    }

    /// Takes an amount, which may grow, until the part is dropped.
    pub(super) fn take(self: &Arc<Self>, holder: Holder, amount: usize) -> Result<Part, Exceeded> {
        let mut part = Part { shares: Arc::clone(self), holder, amount: 0 };
        part.grow(amount)?;
        Ok(part)
    }
}

/// An amount held by a client.
pub(super) struct Part {
    shares: Arc<Shares>,
    holder: Holder,
    amount: usize,
}

impl Part {
    pub(super) fn holder(&self) -> &Holder {
        &self.holder
    }

    pub(super) fn amount(&self) -> usize {
        self.amount
    }

    /// Releases up to `less`.
    pub(super) fn shrink(&mut self, less: usize) {
        let less = less.min(self.amount);
        self.amount -= less;
        let mut taken = self.shares.lock();
        taken.all = taken.all.saturating_sub(less);
        let Some(own) = taken.by.get_mut(&self.holder) else { return };
        *own = own.saturating_sub(less);
        if *own == 0 {
            taken.by.remove(&self.holder);
        }
    }

    /// Takes more.
    pub(super) fn grow(&mut self, more: usize) -> Result<(), Exceeded> {
        let most = if self.holder == Holder::Local { self.shares.whole } else { self.shares.share() };
        let mut taken = self.shares.lock();
        let own = taken.by.get(&self.holder).copied().unwrap_or_default().saturating_add(more);
        let all = taken.all.saturating_add(more);
        if own > most {
            return Err(if most < self.shares.whole { Exceeded::Share(most) } else { Exceeded::Whole(most) });
        }
        if all > self.shares.whole {
            return Err(Exceeded::Whole(self.shares.whole));
        }
        taken.all = all;
        taken.by.insert(self.holder.clone(), own);
        drop(taken);
        self.amount += more;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.shrink(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn one_client_gets_its_share_and_all_of_them_the_whole() -> Result<(), Exceeded> {
        let shares = Shares::new(16);
        let principal = |name: &str| Holder::Principal(Arc::from(name));
        let mut first = shares.take(principal("a"), 3)?;
        first.grow(1)?;
        assert_eq!(first.grow(1), Err(Exceeded::Share(4)));
        assert_eq!(shares.take(principal("a"), 1).err(), Some(Exceeded::Share(4)));
        let others = [principal("b"), principal("c"), Holder::Address(Ipv4Addr::new(192, 0, 2, 1).into())].map(|one| shares.take(one, 4));
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(shares.take(principal("d"), 1).err(), Some(Exceeded::Whole(16)));
        drop(first);
        let all: Vec<_> = (0..4).map(|_| shares.take(Holder::Local, 1)).collect();
        assert!(all.iter().all(Result::is_ok));
        drop((all, others));
        assert_eq!(shares.take(Holder::Local, 17).err(), Some(Exceeded::Whole(16)));
        drop(shares.take(Holder::Local, 16)?);
        let taken = shares.lock();
        assert!(taken.all == 0 && taken.by.is_empty(), "{:?}", taken.by);
        Ok(())
    }
}
