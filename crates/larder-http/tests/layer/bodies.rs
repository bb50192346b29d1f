//! Bodies that are too large for memory, in a store that is one for tests.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Method;
use larder_core::{BoxFuture, LoadError};
use larder_http::{BodyStore, BodyWriter, StoredBody};

use crate::kit::{App, Origin, OriginBody, read, request, response, until};

/// A store that has room for so many bytes, and counts its bodies.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Vec<Written>>>, usize);

type Written = Arc<Mutex<Vec<u8>>>;

struct Writer(Written, usize);
struct Text(Written);

impl BodyStore for Shelf {
    fn create(&self, _: Option<u64>) -> BoxFuture<'static, Result<Box<dyn BodyWriter>, LoadError>> {
        let text = Arc::default();
        self.0.lock().unwrap().push(Arc::clone(&text));
        let writer: Box<dyn BodyWriter> = Box::new(Writer(text, self.1));
        Box::pin(async { Ok(writer) })
    }
}

impl BodyWriter for Writer {
    fn body(&self) -> Arc<dyn StoredBody> {
        Arc::new(Text(Arc::clone(&self.0)))
    }

    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), LoadError>> {
        let mut text = self.0.lock().unwrap();
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

impl StoredBody for Text {
    fn read(&self, at: u64, max: usize) -> BoxFuture<'static, Result<Bytes, LoadError>> {
        let text = self.0.lock().unwrap();
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
    let shelf = Shelf(Arc::default(), room);
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
        assert_eq!((origin.count(), shelf.0.lock().unwrap().len()), (1, 1));
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
    until("it is written", || shelf.0.lock().unwrap().len() == 1).await;
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
