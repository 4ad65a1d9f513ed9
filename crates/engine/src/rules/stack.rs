//! What the directories from the top to the current one contribute.

use std::sync::Arc;

/// A stack that shares its lower frames with those of other directories.
#[derive(Debug)]
pub(super) struct Stack<T>(Option<Arc<Frame<T>>>);

#[derive(Debug)]
struct Frame<T> {
    content: T,
    /// The length of its directory's path, with the slash at its end.
    base: usize,
    below: Stack<T>,
}

impl<T> Stack<T> {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    /// This stack with the content of the directory `prefix` on top.
    pub(super) fn with(&self, prefix: &[u8], content: T) -> Self {
        let base = prefix.len() + usize::from(!prefix.is_empty() && !prefix.ends_with(b"/"));
        Self(Some(Arc::new(Frame { content, base, below: self.clone() })))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// From the deepest directory to the top, with the length of the directory's path.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&T, usize)> {
        let frames = std::iter::successors(self.0.as_deref(), |frame| frame.below.0.as_deref());
        frames.map(|frame| (&frame.content, frame.base))
    }
}

impl<T> Clone for Stack<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Drop for Stack<T> {
    /// A loop: a hostile tree nests deeper than the thread's stack allows.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(frame) = next {
            next = Arc::into_inner(frame).and_then(|mut frame| frame.below.0.take());
        }
    }
}
