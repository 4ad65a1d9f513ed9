//! Receives request bodies. Received bytes count towards a budget, not the length that a client announces.

use super::shares::{Exceeded, Holder, Part, Shares};
use crate::{frame::MAX_FRAME, head::id_in};
use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use rmcp::model::RequestId;
use std::{sync::Arc, time::Duration};

/// Time limit for receiving a body, or a `WebSocket` message.
pub(super) const BODY: Duration = Duration::from_secs(30);
/// Maximum total size of bodies and messages being received.
const MAX_BYTES: usize = 128 << 20;

/// Why a body could not be received.
#[derive(Debug)]
pub(super) enum Why {
    /// It exceeds the maximum message length.
    TooLong,
    /// It took too long.
    TooSlow,
    /// The connection failed, or the chunked encoding is malformed.
    CutOff,
    /// A limit was exceeded; names what it counts.
    Over(Exceeded, &'static str),
}

/// An incomplete body, with the id of its message if that has arrived.
pub(super) struct Unreceived {
    pub(super) why: Why,
    pub(super) id: Option<RequestId>,
}

/// The bodies being received.
pub(super) struct Bodies {
    places: Arc<Shares>,
    bytes: Arc<Shares>,
}

impl Bodies {
    /// Receives at most `places` bodies at a time.
    pub(super) fn new(places: usize) -> Self {
        Self { places: Shares::new(places.max(1)), bytes: Shares::new(MAX_BYTES) }
    }

    /// The byte budget.
    pub(super) fn bytes(&self) -> Arc<Shares> {
        Arc::clone(&self.bytes)
    }

    /// Receives a complete body.
    pub(super) async fn receive(&self, holder: Holder, body: Body) -> Result<Bytes, Unreceived> {
        let over = |exceeded| Unreceived { why: Why::Over(exceeded, "request bodies in progress"), id: None };
        let _place = self.places.take(holder.clone(), 1).map_err(over)?;
        let part = self.bytes.take(holder, 0).map_err(over)?;
        let mut arrived = Arrived { part, first: Bytes::new(), all: Vec::new() };
        let why = match tokio::time::timeout(BODY, arrived.fill(body)).await {
            Ok(Ok(())) => return Ok(arrived.end()),
            Ok(Err(why)) => why,
            Err(_) => Why::TooSlow,
        };
        Err(Unreceived { why, id: id_in(arrived.bytes()) })
    }
}

/// The received part of a body.
struct Arrived {
    part: Part,
    /// A body received in one piece, as most are; not copied.
    first: Bytes,
    /// A body received in several pieces, copied: each piece would keep the whole buffer it was read into.
    all: Vec<u8>,
}

impl Arrived {
    fn bytes(&self) -> &[u8] {
        if self.all.is_empty() { &self.first } else { &self.all }
    }

    fn end(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.into() }
    }

    async fn fill(&mut self, mut body: Body) -> Result<(), Why> {
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame.map_err(|_| Why::CutOff)?.into_data() else { continue };
            let is_too_long = self.bytes().len() + piece.len() > MAX_FRAME;
            if !is_too_long {
                self.part.grow(piece.len()).map_err(|exceeded| Why::Over(exceeded, "bytes of request bodies in progress"))?;
            }
            if self.bytes().is_empty() {
                self.first = piece;
            } else if !is_too_long {
                if self.all.is_empty() {
                    self.all.extend_from_slice(&std::mem::take(&mut self.first));
                }
                self.all.extend_from_slice(&piece);
            }
            if is_too_long {
                return Err(Why::TooLong);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use std::convert::Infallible;

    fn body(pieces: Vec<Vec<u8>>) -> Body {
        Body::from_stream(stream::iter(pieces.into_iter().map(|piece| Ok::<_, Infallible>(Bytes::from(piece)))))
    }

    #[tokio::test]
    async fn a_body_is_the_concatenation_of_its_pieces() {
        let bodies = Bodies::new(4);
        for pieces in [vec![], vec![""], vec!["ab"], vec!["", "ab", "c", "", "def"]] {
            let received = bodies.receive(Holder::Local, body(pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect())).await;
            assert_eq!(received.ok().as_deref(), Some(pieces.concat().as_bytes()));
        }
        let head = br#"{"id":7,"method":"x","params":""#.to_vec();
        for pieces in [vec![[&head[..], &vec![b'x'; MAX_FRAME]].concat()], vec![head, vec![b'x'; MAX_FRAME]]] {
            let refused = bodies.receive(Holder::Local, body(pieces)).await.err();
            assert!(refused.is_some_and(|refused| matches!(refused.why, Why::TooLong) && refused.id == Some(RequestId::Number(7))));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_times_out_and_releases_its_share() {
        let bodies = Bodies::new(4);
        let stalled = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let (first, second) = tokio::join!(
            bodies.receive(Holder::Principal(Arc::from("a")), stalled()),
            bodies.receive(Holder::Principal(Arc::from("a")), stalled())
        );
        assert!(matches!(first.err().map(|refused| refused.why), Some(Why::TooSlow)));
        assert!(matches!(second.err().map(|refused| refused.why), Some(Why::Over(Exceeded::Share(1), _))));
        assert!(bodies.receive(Holder::Principal(Arc::from("a")), body(vec![vec![1]])).await.is_ok());
    }
}
