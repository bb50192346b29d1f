//! An origin's threads: one that accepts, and one for each connection, which reads a request and
//! answers it, one after the other.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{At, Origin, Request, Response, Site};

/// How long to wait after the system has refused to accept.
const AFTER_REFUSAL: Duration = Duration::from_millis(5);

/// Accepts connections until the site has ended, and waits until theirs have, too.
pub(super) fn accept(listener: &TcpListener, site: &Arc<Site>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while !site.has_ended() {
        threads.retain(|thread| !thread.is_finished());
        let Ok((client, _)) = listener.accept() else {
            // Too many open files, for a moment.
            thread::sleep(AFTER_REFUSAL);
            continue;
        };
        let Ok(kept) = client.try_clone() else { continue };
        if let Some(id) = site.enter(kept) {
            let site = Arc::clone(site);
            threads.push(thread::spawn(move || {
                // A connection that fails is closed, as any other at its end.
                let _ = serve(client, &site);
                site.leave(id);
            }));
        }
    }
    for thread in threads {
        // Its panic has been printed.
        let _ = thread.join();
    }
}

/// Answers one request after the other, until the client closes or is told to.
fn serve(client: TcpStream, site: &Site) -> Result<()> {
    client.set_nodelay(true)?;
    let mut output = client.try_clone()?;
    let mut input = BufReader::new(client);
    while let Some(request) = read(&mut input, &mut output)? {
        let response = site.asked(&request);
        let missing = || Response::new("text/plain", "there is nothing here").status(404);
        answer(&request, &response.unwrap_or_else(missing), &mut output, site)?;
        let close = request.header("Connection");
        if close.is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            return Ok(());
        }
    }
    Ok(())
}

/// The next request, with its whole body. `None`: the client has closed.
fn read(input: &mut impl BufRead, output: &mut impl Write) -> Result<Option<Request>> {
    let mut head = input.take(Origin::REQUEST_BYTES_MAX as u64);
    let Some(first) = line(&mut head)? else { return Ok(None) };
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(invalid("no request line"));
    };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = line(&mut head)?.ok_or_else(|| invalid("a head without an end"))?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("no header line"))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: Vec::new() };
    if request.header("Expect").is_some() {
        output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body = match (request.header("Transfer-Encoding"), request.header("Content-Length")) {
        (Some(_), _) => chunks(input)?,
        (None, Some(length)) => bytes(input, length, 10)?,
        (None, None) => Vec::new(),
    };
    Ok(Some(request))
}

/// A body whose length is told by its chunks (RFC 9112, section 7.1).
fn chunks(input: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(&mut input.take(Origin::REQUEST_BYTES_MAX as u64))?;
        let size = size.ok_or_else(|| invalid("a body without an end"))?;
        let chunk = bytes(input, size.split(';').next().unwrap_or_default(), 16)?;
        // Also the end of the last one: trailers aren't understood.
        if line(&mut input.take(2))?.as_deref() != Some("") {
            return Err(invalid("a chunk without an end"));
        }
        if chunk.is_empty() {
            return Ok(body);
        }
        body.extend(chunk);
        if body.len() > Origin::REQUEST_BYTES_MAX {
            return Err(invalid("a body that is too long"));
        }
    }
}

/// As many bytes as `length` says, a number to this base.
fn bytes(input: &mut impl BufRead, length: &str, base: u32) -> Result<Vec<u8>> {
    let length = usize::from_str_radix(length.trim(), base).ok();
    let length = length.filter(|length| *length <= Origin::REQUEST_BYTES_MAX);
    let mut bytes = vec![0; length.ok_or_else(|| invalid("no length, or too much of it"))?];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A line without its end. `None`: there is nothing more.
fn line(input: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let text = line.strip_suffix("\r\n").ok_or_else(|| invalid("a line without an end"))?;
    Ok(Some(text.to_owned()))
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

fn answer(request: &Request, response: &Response, to: &mut TcpStream, site: &Site) -> Result<()> {
    let etag = response.value("ETag");
    let unchanged = etag.is_some() && request.header("If-None-Match") == etag;
    let status = if unchanged { 304 } else { response.status };
    let body: &[u8] = if unchanged || status == 204 { b"" } else { &response.body };
    let mut head = format!("HTTP/1.1 {status} Told\r\n");
    for (name, value) in &response.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !unchanged && status != 204 {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    let body = if request.method == "HEAD" { b"" } else { body };
    let whole = [head.as_bytes(), body].concat();
    let place = |at: At| match at {
        At::Head => 0,
        At::Body(bytes) => head.len() + bytes.min(body.len()),
    };
    let end = response.cut.map_or(whole.len(), place);
    let held = response.held.map_or(end, |at| place(at).min(end));
    to.write_all(&whole[..held])?;
    if response.held.is_some() {
        site.hold(&request.target);
    }
    to.write_all(&whole[held..end])?;
    if response.cut.is_some() {
        return Err(ErrorKind::ConnectionAborted.into());
    }
    Ok(())
}
