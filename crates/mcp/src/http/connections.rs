//! Open connections: each principal has a share of them, and idle ones are closed to make room for new ones.

use super::{
    shares::{Exceeded, Holder, Part, Shares},
    stream::Meter,
};
use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use parking_lot::{Mutex, MutexGuard};
use rustix::process::{Resource, getrlimit};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};
use tokio::sync::Notify;

/// Maximum number of connections.
const MAX_CONNECTIONS: usize = 8192;
/// Divisor of the descriptor limit: the other half is for repositories, git and the store.
const PART_OF_DESCRIPTORS: usize = 2;

/// The connections of a server.
pub(super) struct Connections {
    limit: usize,
    in_use: Arc<Shares>,
    table: Mutex<Table>,
    /// Notified when a connection becomes idle and so can be evicted. A connection becomes idle before it ends.
    room: Notify,
}

#[derive(Default)]
struct Table {
    /// The last number assigned to a connection, or to an idle period.
    last: u64,
    open: HashMap<u64, Entry>,
    /// Connections without an admitted request so far, oldest first.
    unproven: BTreeSet<u64>,
    /// The same, by address.
    unproven_from: HashMap<Option<IpAddr>, BTreeSet<u64>>,
    /// Connections between two requests, longest idle first.
    idle: BTreeMap<u64, u64>,
}

struct Entry {
    address: Option<IpAddr>,
    state: State,
    evicted: Arc<Notify>,
}

#[derive(Clone, Copy)]
enum State {
    Unproven,
    /// Number of requests in progress, including answers being sent, or a WebSocket.
    Busy(usize),
    /// Number of the idle period.
    Idle(u64),
}

impl Table {
    fn add(&mut self, address: Option<IpAddr>, evicted: Arc<Notify>) -> u64 {
        self.last += 1;
        let id = self.last;
        self.open.insert(id, Entry { address, state: State::Unproven, evicted });
        self.unproven.insert(id);
        self.unproven_from.entry(address).or_default().insert(id);
        id
    }

    /// Removes a connection from the lists of those that can be evicted.
    fn unlist(&mut self, id: u64, address: Option<IpAddr>, state: State) {
        match state {
            State::Unproven => {
                self.unproven.remove(&id);
                if let Some(from) = self.unproven_from.get_mut(&address) {
                    from.remove(&id);
                    if from.is_empty() {
                        self.unproven_from.remove(&address);
                    }
                }
            }
            State::Busy(_) => {}
            State::Idle(since) => drop(self.idle.remove(&since)),
        }
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.open.remove(&id)?;
        self.unlist(id, entry.address, entry.state);
        Some(entry)
    }

    /// Returns false if the connection has been evicted.
    fn begin(&mut self, id: u64) -> bool {
        let Some(entry) = self.open.get_mut(&id) else { return false };
        let requests = if let State::Busy(requests) = entry.state { requests + 1 } else { 1 };
        let before = std::mem::replace(&mut entry.state, State::Busy(requests));
        let address = entry.address;
        self.unlist(id, address, before);
        true
    }

    fn end(&mut self, id: u64) {
        let Some(entry) = self.open.get_mut(&id) else { return };
        match entry.state {
            State::Busy(requests) if requests > 1 => entry.state = State::Busy(requests - 1),
            State::Busy(_) => {
                self.last += 1;
                entry.state = State::Idle(self.last);
                self.idle.insert(self.last, id);
            }
            State::Unproven | State::Idle(_) => {}
        }
    }

    /// The connection to evict. `reserved` unproven ones are spared, so that new connections have time for their first
    /// request, however many idle connections other clients keep.
    fn victim(&self, reserved: usize) -> Option<u64> {
        let (unproven, idle) = (self.unproven.first(), self.idle.values().next());
        if self.unproven.len() < reserved { idle.or(unproven) } else { unproven.or(idle) }.copied()
    }

    fn evict(&mut self, id: u64) {
        if let Some(entry) = self.remove(id) {
            entry.evicted.notify_one();
        }
    }
}

impl Connections {
    /// As many as the process's descriptor limit allows.
    pub(super) fn new() -> Arc<Self> {
        let descriptors = getrlimit(Resource::Nofile).current.and_then(|most| usize::try_from(most).ok());
        Self::at_most(descriptors.map_or(MAX_CONNECTIONS, |most| (most / PART_OF_DESCRIPTORS).clamp(1, MAX_CONNECTIONS)))
    }

    fn at_most(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, in_use: Shares::new(limit), table: Mutex::default(), room: Notify::new() })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// Returns once there is room for another connection.
    pub(super) async fn room(&self) {
        loop {
            let notified = self.room.notified();
            {
                let table = self.lock();
                if table.open.len() < self.limit || table.victim(0).is_some() {
                    return;
                }
            }
            notified.await;
        }
    }

    /// Adds a connection; `address` is `None` on a Unix socket. If all places, or all of its address, are taken, the
    /// oldest connection without a request is evicted. `listed` is dropped when the connection ends.
    pub(super) fn enter(self: &Arc<Self>, address: Option<IpAddr>, listed: Box<dyn Send + Sync>) -> Slot {
        let address = address.map(network);
        let evicted = Arc::new(Notify::new());
        let mut table = self.lock();
        // Never refused here: behind a proxy or on the loopback, strangers and valid clients share an address.
        let share = self.in_use.share();
        let of_address = table.unproven_from.get(&address).filter(|from| from.len() >= share);
        let victim = match of_address.and_then(|from| from.first().copied()) {
            None if table.open.len() >= self.limit => table.victim(share),
            victim => victim,
        };
        if let Some(victim) = victim {
            table.evict(victim);
        }
        let id = table.add(address, Arc::clone(&evicted));
        drop(table);
        Slot { id, address, evicted, meter: Arc::default(), connections: Arc::clone(self), _listed: listed }
    }
}

/// The address that identifies a client: for IPv6 its network, since one machine owns all addresses of it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

/// The place of a connection, released on drop.
pub(super) struct Slot {
    id: u64,
    address: Option<IpAddr>,
    evicted: Arc<Notify>,
    meter: Arc<Meter>,
    connections: Arc<Connections>,
    _listed: Box<dyn Send + Sync>,
}

impl Slot {
    /// Notified when the connection is evicted.
    pub(super) fn evicted(&self) -> Arc<Notify> {
        Arc::clone(&self.evicted)
    }

    /// The connection's read meter.
    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
    }
}

/// A request on a connection, until its answer is sent or its WebSocket has ended.
pub(super) struct Turn {
    admitted: OnceLock<Part>,
    slot: Arc<Slot>,
}

impl Turn {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        Self { admitted: OnceLock::new(), slot }
    }

    /// Charges the connection to the authorized client. It cannot be evicted until the end of the turn.
    pub(super) fn admit(&self, principal: Option<&Arc<str>>) -> Result<(), Exceeded> {
        let holder = match (principal, self.slot.address) {
            (Some(principal), _) => Holder::Principal(Arc::clone(principal)),
            (None, Some(address)) if !address.is_loopback() => Holder::Address(address),
            (None, _) => Holder::Local,
        };
        let connections = &self.slot.connections;
        let part = connections.in_use.take(holder, 1)?;
        if !connections.lock().begin(self.slot.id) {
            return Err(Exceeded::Whole(connections.limit));
        }
        if self.admitted.set(part).is_err() {
            connections.lock().end(self.slot.id);
        }
        Ok(())
    }

    /// The connection's read meter.
    pub(super) fn meter(&self) -> Arc<Meter> {
        self.slot.meter()
    }

    /// The peer's address; for IPv6 its network.
    pub(super) fn peer(&self) -> String {
        self.slot.address.map_or_else(|| "the Unix socket".to_owned(), |address| address.to_string())
    }

    /// The client charged for the connection.
    pub(super) fn holder(&self) -> Holder {
        self.admitted.get().map_or(Holder::Local, |part| part.holder().clone())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.admitted.get().is_some() {
            self.slot.connections.lock().end(self.slot.id);
            self.slot.connections.room.notify_waiters();
        }
    }
}

/// The body of an answer; the turn ends once it is sent.
pub(super) struct Answer {
    body: Body,
    _turn: Arc<Turn>,
}

impl Answer {
    pub(super) fn new(body: Body, turn: Arc<Turn>) -> Self {
        Self { body, _turn: turn }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use std::pin::pin;

    fn enter(connections: &Arc<Connections>, address: &str) -> Arc<Slot> {
        Arc::new(connections.enter(address.parse().ok(), Box::new(())))
    }

    async fn is_evicted(slot: &Slot) -> bool {
        poll!(pin!(slot.evicted.notified())).is_ready()
    }

    fn busy(slot: &Arc<Slot>, principal: &str) -> Result<Turn, Exceeded> {
        let turn = Turn::new(Arc::clone(slot));
        turn.admit(Some(&Arc::from(principal)))?;
        Ok(turn)
    }

    #[tokio::test]
    async fn the_oldest_connection_without_a_request_makes_room() -> Result<(), Exceeded> {
        let connections = Connections::at_most(8);
        let slots: Vec<_> = (1..=8).map(|n| enter(&connections, &format!("192.0.2.{n}"))).collect();
        let turns = [busy(&slots[0], "a")?, busy(&slots[1], "b")?, busy(&slots[2], "c")?];
        drop(turns);
        let _busy = busy(&slots[0], "a")?;
        let more: Vec<_> = (1..=5).map(|n| enter(&connections, &format!("198.51.100.{n}"))).collect();
        for (n, slot) in slots.iter().enumerate() {
            assert_eq!(is_evicted(slot).await, n > 2, "{n}");
        }
        let turns: Result<Vec<_>, _> = more.iter().enumerate().map(|(n, slot)| busy(slot, &n.to_string())).collect();
        // Idle connections are evicted before new ones, while those are less than a quarter.
        let new: Vec<_> = (1..=3).map(|n| enter(&connections, &format!("203.0.113.{n}"))).collect();
        for (slot, expect) in slots[..3].iter().chain(&new).zip([false, true, true, true, false, false]) {
            assert_eq!(is_evicted(slot).await, expect, "{:?}", slot.address);
        }
        assert_eq!(busy(&slots[1], "b").err(), Some(Exceeded::Whole(8)));
        drop(turns);
        Ok(())
    }

    #[tokio::test]
    async fn accepting_waits_while_every_connection_is_busy() {
        let connections = Connections::at_most(4);
        let slots: Vec<_> = (1..=4).map(|n| enter(&connections, &format!("192.0.2.{n}"))).collect();
        let mut turns: Vec<_> = slots.iter().zip(["a", "b", "c", "d"]).map(|(slot, name)| busy(slot, name)).collect();
        let mut room = pin!(connections.room());
        assert!(poll!(&mut room).is_pending());
        turns.pop();
        assert!(poll!(&mut room).is_ready());
        drop((turns, slots));
        let table = connections.lock();
        assert!(table.open.is_empty() && table.unproven_from.is_empty() && table.unproven.is_empty() && table.idle.is_empty());
    }

    #[tokio::test]
    async fn a_principal_and_an_address_have_their_share() -> Result<(), Exceeded> {
        let connections = Connections::at_most(8);
        let slots: Vec<_> = (0..3).map(|_| enter(&connections, "127.0.0.1")).collect();
        assert!(is_evicted(&slots[0]).await && !is_evicted(&slots[1]).await, "two of eight connections are unproven at a time");
        let turns = [busy(&slots[1], "a")?, busy(&slots[2], "a")?];
        let slot = enter(&connections, "127.0.0.1");
        assert_eq!(busy(&slot, "a").err(), Some(Exceeded::Share(2)));
        drop(turns);
        drop(busy(&slot, "a")?);
        let anonymous = Turn::new(Arc::clone(&slot));
        anonymous.admit(None)?;
        assert_eq!(anonymous.holder(), Holder::Local);
        Ok(())
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        for (address, expect) in
            [("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("::ffff:192.0.2.1", "192.0.2.1"), ("::1", "::1"), ("192.0.2.1", "192.0.2.1")]
        {
            assert_eq!(address.parse().map(network), expect.parse(), "{address}");
        }
    }
}
