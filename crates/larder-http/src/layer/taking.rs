//! A body on its way to one client that is stored if all of it comes.
//!
//! The last frame waits until it is stored, so who has a whole response and asks again finds it.
//! A client that goes away leaves nothing behind.
//!
//! **Bound.** It holds no more than it was told; of a body that turns out to be longer it lets go
//! of everything, and passes the rest on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use larder_core::{BoxFuture, LoadError};

/// What is done with the chunks of a body, once all of them have come.
pub(super) type Store = Box<dyn FnOnce(Vec<Bytes>) -> BoxFuture<'static, ()> + Send>;

/// See the module's documentation.
pub(super) struct Taking<B> {
    body: Pin<Box<B>>,
    /// How long it will be, if that is known: one of another length isn't stored.
    length: Option<u64>,
    max: usize,
    chunks: Vec<Bytes>,
    came: u64,
    store: Option<Store>,
    storing: Option<BoxFuture<'static, ()>>,
    /// What came and wasn't given on: a last chunk, behind which the end wasn't seen yet.
    waiting: VecDeque<Frame<Bytes>>,
    failed: Option<LoadError>,
    over: bool,
}

impl<B: Body<Data = Bytes>> Taking<B> {
    /// Gives `body` on, and at most `max` bytes of it to `store`.
    pub(super) fn new(body: B, length: Option<u64>, max: usize, store: Store) -> Self {
        Self {
            body: Box::pin(body),
            length,
            max,
            chunks: Vec::new(),
            came: 0,
            store: Some(store),
            storing: None,
            waiting: VecDeque::new(),
            failed: None,
            over: false,
        }
    }

    fn take(&mut self, data: &Bytes) {
        self.came += data.len() as u64;
        if self.store.is_none() || data.is_empty() {
            return;
        }
        // A chunk costs more than its bytes.
        let fits = self.came <= self.max as u64 && self.chunks.len() <= 16 + self.max / 64;
        if fits && self.length.is_none_or(|length| self.came <= length) {
            self.chunks.push(data.clone());
        } else {
            (self.store, self.chunks) = (None, Vec::new());
        }
    }

    /// Whether what came is to be held back until its end is seen.
    fn may_be_all(&self) -> bool {
        self.store.is_some() && self.length == Some(self.came)
    }
}

impl<B> Body for Taking<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<LoadError>,
{
    type Data = Bytes;
    type Error = LoadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, LoadError>>> {
        let this = &mut *self;
        loop {
            if let Some(storing) = &mut this.storing {
                ready!(storing.as_mut().poll(context));
                this.storing = None;
            }
            if this.over || !this.may_be_all() {
                if let Some(frame) = this.waiting.pop_front() {
                    return Poll::Ready(Some(Ok(frame)));
                }
                if this.over {
                    return Poll::Ready(this.failed.take().map(Err));
                }
            }
            match ready!(this.body.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        this.take(data);
                    }
                    this.waiting.push_back(frame);
                }
                Some(Err(error)) => {
                    (this.over, this.failed, this.store) = (true, Some(error.into()), None);
                }
                None => {
                    this.over = true;
                    let whole = this.length.is_none_or(|length| this.came == length);
                    if let Some(store) = this.store.take().filter(|_| whole) {
                        this.storing = Some(store(std::mem::take(&mut this.chunks)));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let done = self.waiting.is_empty() && self.storing.is_none() && self.failed.is_none();
        self.over && done
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.waiting.iter().filter_map(Frame::data_ref).map(Bytes::len).sum::<usize>();
        let (held, left) = (held as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower().saturating_add(held));
        if let Some(upper) = left.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use larder_core::sync::Mutex;

    use super::*;

    /// A body of these chunks; an empty one is an error.
    struct Chunks(VecDeque<&'static str>);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = LoadError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, LoadError>>> {
            Poll::Ready(self.0.pop_front().map(|chunk| match chunk {
                "" => Err("it broke off".into()),
                chunk => Ok(Frame::data(chunk.into())),
            }))
        }
    }

    /// What is given on, and what is stored.
    fn taken(chunks: &[&'static str], length: Option<u64>) -> (String, Option<String>) {
        let stored: Arc<Mutex<Option<String>>> = Arc::default();
        let place = Arc::clone(&stored);
        let store: Store = Box::new(move |chunks| {
            *place.lock() = Some(String::from_utf8(chunks.concat()).unwrap());
            Box::pin(async {})
        });
        let mut body = Taking::new(Chunks(chunks.iter().copied().collect()), length, 6, store);
        let (mut given, mut context) = (String::new(), Context::from_waker(Waker::noop()));
        while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
            match frame {
                Ok(frame) => given += std::str::from_utf8(frame.data_ref().unwrap()).unwrap(),
                Err(_) => given.push('!'),
            }
        }
        assert!(body.is_end_stream());
        let stored = stored.lock().take();
        (given, stored)
    }

    #[test]
    fn what_comes_whole_is_stored_and_all_is_given_on() {
        for length in [None, Some(4)] {
            assert_eq!(taken(&["ab", "cd"], length), ("abcd".into(), Some("abcd".into())));
        }
        assert_eq!(taken(&[], None), (String::new(), Some(String::new())));
        for (chunks, length) in
            [(&["ab", "cd"][..], Some(5)), (&["ab", "cd"], Some(2)), (&["abcd", "efg"], None)]
        {
            assert_eq!(taken(chunks, length), (chunks.concat(), None), "{length:?}");
        }
        assert_eq!(taken(&["ab", ""], None), ("ab!".into(), None));
        assert_eq!(taken(&["ab", ""], Some(2)), ("ab!".into(), None));
    }
}
