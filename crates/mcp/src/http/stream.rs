//! The stream of a connection. Limits output waiting to be written and messages being received, which both use memory.

use super::{bodies::BODY, shares::Part};
use axum::body::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::{Mutex, MutexGuard};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// How long the peer may read nothing.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long to wait for a client that is still sending when its connection closes, in total and while it is silent.
const LINGERING: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(5);
/// Opcode, length and mask of a control frame from a client.
const CONTROL_HEAD: usize = 6;

/// Counts the received bytes of an incomplete `WebSocket` message, from [`Meter::start`] on.
#[derive(Default)]
pub(super) struct Meter {
    count: Mutex<Option<Count>>,
    /// A body is incomplete: its client may still be sending.
    sending: AtomicBool,
}

struct Count {
    part: Part,
    since: Option<Instant>,
    failed: Option<&'static str>,
}

impl Meter {
    fn lock(&self) -> MutexGuard<'_, Option<Count>> {
        self.count.lock()
    }

    /// Charges received bytes to `part` from now on.
    pub(super) fn start(&self, part: Part) {
        *self.lock() = Some(Count { part, since: None, failed: None });
    }

    /// Resets the count at the end of a message. Bytes of the next one from the same read are not counted.
    pub(super) fn message(&self) {
        if let Some(count) = self.lock().as_mut() {
            count.part.shrink(usize::MAX);
            count.since = None;
        }
    }

    /// Deducts a ping or pong with this payload length, perhaps between two frames of a message.
    pub(super) fn control(&self, payload: usize) {
        if let Some(count) = self.lock().as_mut() {
            count.part.shrink(payload + CONTROL_HEAD);
            if count.part.amount() == 0 {
                count.since = None;
            }
        }
    }

    /// Why reading failed, if the meter is the cause.
    pub(super) fn failed(&self) -> Option<&'static str> {
        self.lock().as_ref().and_then(|count| count.failed)
    }

    fn charge(&self, bytes: usize) -> io::Result<()> {
        let mut count = self.lock();
        let Some(count) = count.as_mut().filter(|_| bytes > 0) else { return Ok(()) };
        let since = *count.since.get_or_insert_with(Instant::now);
        let failed = if count.part.grow(bytes).is_err() {
            "too many bytes of messages in progress: try again later"
        } else if since.elapsed() > BODY {
            "a message took too long to arrive"
        } else {
            return Ok(());
        };
        count.failed = Some(failed);
        Err(io::Error::other(failed))
    }
}

/// The body of a request; marks on the meter when it is complete.
pub(super) struct Received<B> {
    body: B,
    meter: Arc<Meter>,
}

impl<B: http_body::Body> Received<B> {
    pub(super) fn new(body: B, meter: Arc<Meter>) -> Self {
        meter.sending.store(!body.is_end_stream(), Ordering::Relaxed);
        Self { body, meter }
    }
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Received<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if self.body.is_end_stream() || matches!(polled, Poll::Ready(None)) {
            self.meter.sending.store(false, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Fails a write if the peer reads nothing for a minute, and a read that exceeds the meter's limit.
///
/// Closing waits for a client that is still sending: the system would answer further data with a reset, which would
/// discard the answer before the client reads it.
pub(super) struct Bounded<I> {
    inner: I,
    meter: Arc<Meter>,
    waiting: Option<Pin<Box<Sleep>>>,
    lingering: Option<Lingering>,
}

/// A closing connection that waits for the client to end.
struct Lingering {
    end: Pin<Box<Sleep>>,
    silence: Pin<Box<Sleep>>,
}

impl<I> Bounded<I> {
    pub(super) fn new(inner: I, meter: Arc<Meter>) -> Self {
        Self { inner, meter, waiting: None, lingering: None }
    }

    /// Discards input until the client has ended or is silent.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()>
    where
        I: AsyncRead + Unpin,
    {
        let Some(lingering) = &mut self.lingering else { return Poll::Ready(()) };
        let mut room = [0; 8 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.meter.sending.store(true, Ordering::Relaxed);
                    lingering.silence.as_mut().reset(Instant::now() + SILENCE);
                    if lingering.end.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if !self.meter.sending.load(Ordering::Relaxed) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        let is_over = lingering.end.as_mut().poll(cx).is_ready() || lingering.silence.as_mut().poll(cx).is_ready();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }

    fn check_timeout<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        waiting.as_mut().poll(cx).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Bounded<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if matches!(polled, Poll::Ready(Ok(()))) {
            self.meter.charge(buffer.filled().len() - before)?;
        }
        polled
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Bounded<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.check_timeout(polled, cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.check_timeout(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.check_timeout(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
            match self.check_timeout(polled, cx) {
                Poll::Ready(Ok(())) => {}
                ended => return ended,
            }
            self.lingering = Some(Lingering { end: Box::pin(sleep(LINGERING)), silence: Box::pin(sleep(SILENCE)) });
        }
        self.linger(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::shares::{Holder, Shares};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_message_in_progress_has_a_bound_and_an_end() -> io::Result<()> {
        let shares = Shares::new(64);
        let metered = || {
            let (near, far) = duplex(256);
            let meter = Arc::new(Meter::default());
            (Bounded::new(near, Arc::clone(&meter)), far, meter)
        };
        let start = |meter: &Meter| {
            if let Ok(part) = shares.take(Holder::Principal(Arc::from("a")), 0) {
                meter.start(part);
            }
        };
        let (mut near, mut far, meter) = metered();
        let mut taken = [0; 16];
        // Nothing is counted for requests over HTTP.
        for _ in 0..8 {
            far.write_all(&[0; 16]).await?;
            near.read_exact(&mut taken).await?;
        }
        start(&meter);
        for _ in 0..8 {
            far.write_all(&[0; 16]).await?;
            near.read_exact(&mut taken).await?;
            meter.message();
        }
        // Pings between the frames of a message neither count nor reset the count.
        far.write_all(&[0; 4]).await?;
        near.read_exact(&mut taken[..4]).await?;
        for _ in 0..4 {
            far.write_all(&[0; CONTROL_HEAD]).await?;
            near.read_exact(&mut taken[..CONTROL_HEAD]).await?;
            meter.control(0);
        }
        assert_eq!(meter.failed(), None);
        far.write_all(&[0; 16]).await?;
        assert!(near.read_exact(&mut taken).await.is_err());
        assert!(meter.failed().is_some_and(|why| why.contains("too many bytes")));
        drop(near);
        drop(meter);

        let (mut near, mut far, meter) = metered();
        start(&meter);
        // Pongs keep a quiet connection alive.
        for _ in 0..8 {
            sleep(BODY).await;
            far.write_all(&[0; CONTROL_HEAD]).await?;
            near.read_exact(&mut taken[..CONTROL_HEAD]).await?;
            meter.control(0);
        }
        far.write_all(&[0; 2]).await?;
        near.read_exact(&mut taken[..2]).await?;
        sleep(BODY * 2).await;
        far.write_all(&[0; 2]).await?;
        assert!(near.read_exact(&mut taken[..2]).await.is_err());
        assert!(meter.failed().is_some_and(|why| why.contains("took too long")));
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_ends_the_write_and_a_slow_one_does_not() -> io::Result<()> {
        let (near, mut far) = duplex(8);
        let mut near = Bounded::new(near, Arc::default());
        let slow = tokio::spawn(async move {
            let mut taken = [0; 8];
            for _ in 0..4 {
                sleep(PATIENCE / 2).await;
                far.read_exact(&mut taken).await?;
            }
            Ok::<_, io::Error>(far)
        });
        near.write_all(&[0; 32]).await?;
        let far = slow.await??;
        near.write_all(&[0; 8]).await?;
        let failed = near.write_all(&[0; 8]).await.err().map(|err| err.kind());
        assert_eq!(failed, Some(io::ErrorKind::TimedOut));
        drop(far);
        Ok(())
    }
}
