//! Bodies that are too large for memory, in a store that is one for tests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Method;
use larder_core::{BoxFuture, Key, LoadError};
use larder_http::{BodyReader, BodyStore, BodyWriter, StoredBody};

use crate::kit::{App, Origin, OriginBody, read, request, response, until};

/// A store that has room for so many bytes of each body, and evicts when it is told.
#[derive(Clone, Default)]
struct Shelf {
    texts: Arc<Mutex<Vec<Arc<Text>>>>,
    room: usize,
    /// It evicts without a word, as a store does in the moment before it tells.
    silent: bool,
}

#[derive(Default)]
struct Text {
    bytes: Mutex<Vec<u8>>,
    evicted: AtomicBool,
    tell: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Shelf {
    fn count(&self) -> usize {
        self.texts.lock().unwrap().len()
    }

    fn evict(&self, at: usize) {
        let text = Arc::clone(&self.texts.lock().unwrap()[at]);
        text.evicted.store(true, Ordering::Relaxed);
        let tell = text.tell.lock().unwrap().take();
        if let Some(tell) = tell.filter(|_| !self.silent) {
            tell();
        }
    }
}

struct Writer(Handle, usize);
struct Handle(Arc<Text>);

impl BodyStore for Shelf {
    fn create(
        &self,
        _: &Key,
        _: Option<u64>,
    ) -> BoxFuture<'static, Result<Box<dyn BodyWriter>, LoadError>> {
        let text = Arc::default();
        self.texts.lock().unwrap().push(Arc::clone(&text));
        let writer: Box<dyn BodyWriter> = Box::new(Writer(Handle(text), self.room));
        Box::pin(async { Ok(writer) })
    }
}

impl BodyWriter for Writer {
    fn body(&self) -> Arc<dyn StoredBody> {
        Arc::new(Handle(Arc::clone(&self.0.0)))
    }

    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), LoadError>> {
        let mut text = self.0.0.bytes.lock().unwrap();
        let fits = text.len() + bytes.len() <= self.1;
        if fits {
            text.extend_from_slice(&bytes);
        }
        Box::pin(async move { if fits { Ok(()) } else { Err("no room".into()) } })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), LoadError>> {
        Box::pin(async { Ok(()) })
    }
}

impl StoredBody for Handle {
    fn reader(&self) -> Option<Arc<dyn BodyReader>> {
        let reader = Arc::new(Self(Arc::clone(&self.0)));
        (!self.is_evicted()).then_some(reader)
    }

    fn is_evicted(&self) -> bool {
        self.0.evicted.load(Ordering::Relaxed)
    }

    fn when_evicted(&self, tell: Box<dyn FnOnce() + Send>) {
        *self.0.tell.lock().unwrap() = Some(tell);
    }
}

impl BodyReader for Handle {
    fn read(&self, at: u64, max: usize) -> BoxFuture<'static, Result<Bytes, LoadError>> {
        let text = self.0.bytes.lock().unwrap();
        let at = usize::try_from(at).unwrap().min(text.len());
        // A few at a time, as a file may.
        let end = text.len().min(at + max.min(1000));
        let read = Bytes::copy_from_slice(&text[at..end]);
        Box::pin(async move { Ok(read) })
    }
}

fn text(length: usize) -> String {
    (0..length).map(|at| char::from(b'a' + (at % 26) as u8)).collect()
}

fn app(origin: &Origin, room: usize) -> (App, Shelf) {
    over(origin, Shelf { room, ..Shelf::default() })
}

fn over(origin: &Origin, shelf: Shelf) -> (App, Shelf) {
    let store = Arc::new(shelf.clone());
    let app = App::with(origin, |builder| builder.object_max(1000).bodies(store, 100_000));
    (app, shelf)
}

/// RFC 9110 §14: a body in the store is read like one in memory, whole and in parts
#[tokio::test]
async fn a_long_body_is_stored_apart() {
    let whole = text(50_000);
    for length in ["", "content-length: 50000\n"] {
        let head = format!("200\ncache-control: max-age=60\n{length}\n{whole}");
        let origin = Origin::of(&[&head]);
        let (app, shelf) = app(&origin, 100_000);
        assert_eq!(app.get("/").await.text(), whole);
        let hit = app.get("/").await;
        assert_eq!((hit.text(), hit.is_hit()), (&*whole, true));
        assert_eq!((hit.field("content-length"), hit.field("etag").len()), ("50000", 34));
        let part = app.get_with("/", "range: bytes=1500-3499").await;
        assert_eq!((part.status.as_u16(), part.text()), (206, &whole[1500..3500]));
        let parts = app.get_with("/", "range: bytes=0-1, -2").await;
        assert!(parts.text().contains(&whole[49_998..]));
        assert_eq!(parts.field("content-length"), parts.text().len().to_string());
        assert_eq!((origin.count(), shelf.count()), (1, 1));
        assert!(app.cache.cache().worth().memory_bytes < 10_000);
        app.cache.purge(&larder_http::Purge::All, larder_engine::Invalidation::Drop).await.unwrap();
        assert_eq!(app.get("/").await.text(), whole);
    }
}

/// Who comes late reads what was written so far, and then what comes.
#[tokio::test]
async fn a_long_body_is_read_while_it_arrives() {
    let (sender, body) = OriginBody::sent();
    let mut body = Some(body);
    let origin = Origin::new(move |_| {
        response("200\ncache-control: max-age=60").map(|_| body.take().unwrap())
    });
    let (app, shelf) = app(&origin, 100_000);
    let slow = app.send(request(Method::GET, "/", "")).await;
    let whole = text(30_000);
    sender.send(Ok(whole[..20_000].to_owned().into())).unwrap();
    until("it is written", || shelf.count() == 1).await;
    let late = app.send(request(Method::GET, "/", "")).await;
    sender.send(Ok(whole[20_000..].to_owned().into())).unwrap();
    drop(sender);
    assert_eq!(read(late).await.unwrap().text(), whole);
    assert_eq!(read(slow).await.unwrap().text(), whole);
    assert!(app.get("/").await.is_hit());
    assert_eq!(origin.count(), 1);
}

/// A store that is full ends the storing and nothing else.
#[tokio::test]
async fn a_full_store_ends_nothing() {
    let whole = text(50_000);
    let origin = Origin::new({
        let whole = whole.clone();
        move |_| {
            let (sender, body) = OriginBody::sent();
            for part in whole.as_bytes().chunks(700) {
                sender.send(Ok(Bytes::copy_from_slice(part))).unwrap();
            }
            response("200\ncache-control: max-age=60").map(|_| body)
        }
    });
    let (app, _) = app(&origin, 20_000);
    for count in 1..3 {
        assert_eq!(app.get("/").await.text(), whole);
        assert_eq!((origin.count(), app.cache.stats().stored), (count, 0));
    }
}

const LONG: &str = "200\ncache-control: max-age=60\netag: \"one\"\n\n";

/// Whoever asks for what was evicted asks for what was never stored, whatever he asks for.
#[tokio::test]
async fn what_was_evicted_is_a_miss_and_is_stored_again() {
    let whole = text(5000);
    for silent in [false, true] {
        for (fields, status) in
            [("", 200), ("if-none-match: \"one\"", 304), ("if-none-match: \"two\"", 200)]
        {
            let origin = Origin::of(&[&format!("{LONG}{whole}")]);
            let room = 100_000;
            let (app, shelf) = over(&origin, Shelf { room, silent, ..Shelf::default() });
            app.get("/").await;
            assert!(app.get_with("/", fields).await.is_hit());
            shelf.evict(0);
            let bytes = app.cache.cache().worth().bytes;
            assert_eq!(bytes == 0, !silent, "{bytes}");
            let again = app.get_with("/", fields).await;
            assert_eq!(again.status, status);
            assert!(again.cache().starts_with("fwd=uri-miss"), "{}", again.cache());
            // It was asked for as if nothing were held.
            assert_eq!((origin.count(), origin.last().headers.get("if-none-match")), (2, None));
            until("it is stored", || app.cache.stats().stored == 2).await;
            let hit = app.get("/").await;
            assert_eq!((hit.text(), hit.is_hit()), (&*whole, true));
        }
    }
}

/// The same for a HEAD and for a range, which are sent on.
#[tokio::test]
async fn what_was_evicted_answers_no_head_and_no_range() {
    for silent in [false, true] {
        for (method, fields) in [(Method::HEAD, ""), (Method::GET, "range: bytes=0-9")] {
            let origin = Origin::of(&[&format!("{LONG}{}", text(5000))]);
            let room = 100_000;
            let (app, shelf) = over(&origin, Shelf { room, silent, ..Shelf::default() });
            app.get("/").await;
            assert!(app.ask(request(method.clone(), "/", fields)).await.is_hit());
            shelf.evict(0);
            let passed = app.ask(request(method, "/", fields)).await;
            assert!(!passed.is_hit() && origin.count() == 2, "{}", passed.cache());
        }
    }
}

/// One that is stale isn't validated any more, and isn't there when its origin fails.
#[tokio::test]
async fn what_was_evicted_is_neither_validated_nor_of_use_in_need() {
    for silent in [false, true] {
        let head = format!("{}{}", LONG.replace("60", "60, stale-if-error=600"), text(5000));
        let origin = Origin::of(&[&head, "503\n\nnothing"]);
        let room = 100_000;
        let (app, shelf) = over(&origin, Shelf { room, silent, ..Shelf::default() });
        app.get("/").await;
        app.seconds(61);
        let stale = app.get("/").await;
        assert_eq!((stale.status.as_u16(), stale.text().len()), (200, 5000));
        assert_eq!(origin.last().headers["if-none-match"], "\"one\"");
        shelf.evict(0);
        assert_eq!(app.get("/").await.status, 503);
        assert_eq!(origin.last().headers.get("if-none-match"), None);
    }
}

/// A response that has begun goes on to its end.
#[tokio::test]
async fn what_is_evicted_while_it_is_sent_is_sent_whole() {
    let whole = text(50_000);
    let origin = Origin::of(&[&format!("{LONG}{whole}")]);
    let (app, shelf) = app(&origin, 100_000);
    app.get("/").await;
    let hit = app.send(request(Method::GET, "/", "")).await;
    shelf.evict(0);
    assert_eq!(read(hit).await.unwrap().text(), whole);
    assert_eq!(origin.count(), 1);
}

/// Of variants only the one goes whose body was evicted.
#[tokio::test]
async fn a_variant_that_is_evicted_takes_no_other_with_it() {
    let head = LONG.replace("\netag", "\nvary: x\netag") + &text(5000);
    let origin = Origin::of(&[&head]);
    let (app, shelf) = app(&origin, 100_000);
    for fields in ["x: 1", "x: 2"] {
        app.get_with("/", fields).await;
        assert!(app.get_with("/", fields).await.is_hit());
    }
    let both = app.cache.cache().worth().bytes;
    shelf.evict(0);
    assert!(app.cache.cache().worth().bytes < both);
    assert!(app.get_with("/", "x: 2").await.is_hit());
    assert!(!app.get_with("/", "x: 1").await.is_hit());
    assert_eq!((origin.count(), shelf.count()), (3, 3));
}
