//! Ranges and HEAD, from what is stored whole.

use http::Method;

use crate::kit::{App, Origin, date, request};

async fn stored() -> (Origin, App) {
    let head = format!(
        "200\ncache-control: max-age=60\netag: \"1\"\nlast-modified: {}\ncontent-type: text/x\n\n\
         0123456789",
        date(-100)
    );
    let origin = Origin::of(&[&head]);
    let app = App::new(&origin);
    app.get("/").await;
    (origin, app)
}

/// RFC 9110 §14: a range is answered from the stored whole, with the stored fields
#[tokio::test]
async fn a_part_of_what_is_stored() {
    let (origin, app) = stored().await;
    let reply = app.get_with("/", "range: bytes=2-4").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (206, "234"));
    let fields = ["content-range", "content-length", "etag"].map(|name| reply.field(name));
    assert_eq!(fields, ["bytes 2-4/10", "3", "\"1\""]);
    assert_eq!(app.get_with("/", "range: bytes=-2").await.text(), "89");
    assert_eq!(app.get_with("/", "range: lines=1-2").await.status, 200);
    assert_eq!(origin.count(), 1);
}

/// RFC 9110 §14.6: several ranges are several parts
#[tokio::test]
async fn several_parts() {
    let (_, app) = stored().await;
    let reply = app.get_with("/", "range: bytes=0-1, 8-").await;
    assert_eq!(reply.status, 206);
    let boundary = reply.field("content-type").strip_prefix("multipart/byteranges; boundary=");
    let boundary = boundary.unwrap();
    let part = |range: &str, body: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/x\r\nContent-Range: bytes {range}/10\r\n\r\n{body}\r\n"
        )
    };
    let whole = format!("{}{}--{boundary}--\r\n", part("0-1", "01"), part("8-9", "89"));
    assert_eq!(reply.text(), whole);
    assert_eq!(reply.field("content-length"), whole.len().to_string());
    assert_eq!(reply.field("content-range"), "");
}

/// RFC 9110 §15.5.17: what isn't there is answered with 416, and how much there is
#[tokio::test]
async fn a_range_beyond_the_end() {
    let (_, app) = stored().await;
    let reply = app.get_with("/", "range: bytes=10-").await;
    assert_eq!((reply.status.as_u16(), reply.field("content-range")), (416, "bytes */10"));
}

/// RFC 9110 §13.1.5: If-Range needs a strong tag, else the whole is sent
#[tokio::test]
async fn a_range_of_another_representation_is_the_whole() {
    let (_, app) = stored().await;
    for (held, status) in [("\"1\"", 206), ("\"2\"", 200), ("W/\"1\"", 200), (&date(-100), 206)] {
        let fields = format!("range: bytes=0-0\nif-range: {held}");
        assert_eq!(app.get_with("/", &fields).await.status, status, "{held}");
    }
}

/// RFC 9110 §14.2: a range of what isn't stored goes to the origin
#[tokio::test]
async fn a_range_of_what_is_not_stored_is_forwarded() {
    let origin = Origin::of(&["206\ncache-control: no-store\ncontent-range: bytes 0-0/2\n\nx"]);
    let app = App::new(&origin);
    for count in 1..3 {
        assert_eq!(app.get_with("/", "range: bytes=0-0").await.status, 206);
        assert_eq!(origin.count(), count);
    }
    assert_eq!(origin.last().headers["range"], "bytes=0-0");
}

/// RFC 9110 §9.3.2: HEAD is answered from a stored GET; a HEAD's own response isn't stored as one
#[tokio::test]
async fn a_head_is_answered_from_a_stored_get() {
    let (origin, app) = stored().await;
    let reply = app.ask(request(Method::HEAD, "/", "range: bytes=0-0")).await;
    assert_eq!((reply.status.as_u16(), reply.text(), reply.is_hit()), (200, "", true));
    assert_eq!(reply.field("content-length"), "10");
    let other = app.ask(request(Method::HEAD, "/other", "")).await;
    assert_eq!((other.cache(), origin.last().method), ("fwd=uri-miss", Method::HEAD));
    assert_eq!(app.get("/other").await.text(), "0123456789");
    assert_eq!(origin.last().method, Method::GET);
}
