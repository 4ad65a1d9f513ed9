//! The queue of output, with its size.

use parking_lot::Mutex;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{Notify, OwnedSemaphorePermit, mpsc},
    task::JoinHandle,
};

/// Maximum size of one write, in bytes.
const BURST: usize = 256 << 10;

/// A line to be written, with a permit that is released once it is written.
struct Line {
    bytes: Vec<u8>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Queues lines for a writer task.
pub(crate) struct Outbox {
    queue: Mutex<Option<mpsc::UnboundedSender<Line>>>,
    waiting: Arc<Waiting>,
    writer: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

/// Bytes that are queued and not yet read by the peer.
#[derive(Default)]
pub(crate) struct Waiting {
    bytes: AtomicUsize,
    less: Notify,
}

impl Waiting {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns once at most `limit` bytes are queued.
    pub(crate) async fn at_most(&self, limit: usize) {
        loop {
            let less = self.less.notified();
            if self.bytes() <= limit {
                return;
            }
            less.await;
        }
    }
}

impl Outbox {
    pub(crate) fn new(writer: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting::default());
        let task = tokio::spawn(write(writer, receiver, Arc::clone(&waiting)));
        Self { queue: Mutex::new(Some(sender)), waiting, writer: Mutex::new(Some(task)) }
    }

    pub(crate) fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }

    /// Queues one line; `bytes` ends with a line break. Returns false if the writer is gone.
    pub(crate) fn push(&self, bytes: Vec<u8>, permit: Option<OwnedSemaphorePermit>) -> bool {
        let len = bytes.len();
        let queue = self.queue.lock();
        let Some(queue) = queue.as_ref() else { return false };
        self.waiting.bytes.fetch_add(len, Ordering::Relaxed);
        queue.send(Line { bytes, _permit: permit }).is_ok()
    }

    /// Closes the queue and waits until all lines are written.
    pub(crate) async fn close(&self) -> io::Result<()> {
        drop(self.queue.lock().take());
        let writer = self.writer.lock().take();
        match writer {
            Some(writer) => writer.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut queue: mpsc::UnboundedReceiver<Line>, waiting: Arc<Waiting>) -> io::Result<()> {
    let mut lines = Vec::new();
    let mut burst = Vec::new();
    while queue.recv_many(&mut lines, 64).await > 0 {
        for line in lines.drain(..) {
            if burst.is_empty() && line.bytes.len() >= BURST {
                writer.write_all(&line.bytes).await?;
                release(&waiting, line.bytes.len());
                continue;
            }
            burst.extend_from_slice(&line.bytes);
            if burst.len() >= BURST {
                flush(&mut writer, &mut burst, &waiting).await?;
            }
        }
        flush(&mut writer, &mut burst, &waiting).await?;
    }
    writer.shutdown().await
}

async fn flush(writer: &mut (impl AsyncWrite + Unpin), burst: &mut Vec<u8>, waiting: &Waiting) -> io::Result<()> {
    writer.write_all(burst).await?;
    writer.flush().await?;
    release(waiting, burst.len());
    burst.clear();
    burst.shrink_to(BURST);
    Ok(())
}

fn release(waiting: &Waiting, len: usize) {
    waiting.bytes.fetch_sub(len, Ordering::Relaxed);
    waiting.less.notify_waiters();
}
