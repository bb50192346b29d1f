//! A server with one edge in front of an origin, and clients that write bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};

use larder_server::config::Config;
use larder_server::{Addresses, Server};
use larder_test::origin::{Origin, Response};
use tokio::sync::oneshot;

pub(crate) use larder_test::{PATIENCE, until};

/// A running server with the edge `shop`.
pub(crate) struct Bench {
    pub(crate) origin: Origin,
    pub(crate) edge: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) resp: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bench {
    /// With these lines in `[edge.shop]`, and sections behind them.
    pub(crate) fn new(lines: &str) -> Self {
        let origin = Origin::start();
        let url = format!("http://{}", origin.address());
        Self::over(origin, &url, lines)
    }

    /// In front of whatever is at `url`.
    pub(crate) fn over(origin: Origin, url: &str, lines: &str) -> Self {
        Self::try_over(origin, url, lines).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same, or why it can't be.
    pub(crate) fn try_over(origin: Origin, url: &str, lines: &str) -> Result<Self, String> {
        let text = format!(
            "[listen]\nresp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 1\n\
             [edge.shop]\nlisten = \"127.0.0.1:0\"\norigin = \"{url}\"\n{lines}\n"
        );
        let config = Config::parse(&text, "larder.toml", &|_| None);
        let config = config.map_err(|problems| problems.to_string())?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let server = match Server::open(&config).await {
                    Ok(server) => server,
                    Err(error) => return tell.send(Err(error.chain())).unwrap(),
                };
                let Addresses { resp, admin, .. } = server.addresses().unwrap();
                let edge = server.edges().unwrap()[0].1;
                tell.send(Ok((edge, resp.unwrap(), admin.unwrap()))).unwrap();
                let serve = server.serve(async move { drop(stopped.await) });
                Box::pin(serve).await.unwrap();
            });
            runtime.shutdown_background();
        });
        let opened = told.recv().unwrap();
        let (edge, resp, admin) = opened?;
        Ok(Self { origin, edge, admin, resp, stop: Some(stop), thread: Some(thread) })
    }

    /// Answers `target` with this.
    pub(crate) fn put(&self, target: &str, response: Response) {
        self.origin.put(target, response);
    }

    /// Asks for a path.
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask(&format!("GET {target}"), "")
    }

    /// Sends a request with these lines of its head, each with its end.
    pub(crate) fn ask(&self, what: &str, lines: &str) -> Answer {
        self.raw(&format!(
            "{what} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{lines}\r\n"
        ))
    }

    /// Sends bytes, and reads until the connection ends.
    pub(crate) fn raw(&self, request: &str) -> Answer {
        let mut client = self.connect();
        client.write_all(request.as_bytes()).unwrap();
        Answer::read(&mut client).unwrap_or_else(|| panic!("no answer to {request:?}"))
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.edge).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// Tells it to stop, without waiting.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has stopped.
    pub(crate) fn stopped(mut self) {
        self.stop();
        self.thread.take().unwrap().join().unwrap();
    }

    /// The metric of this name with these labels.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let page = admin(self.admin, "GET", "/metrics", "").1;
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{page}")).parse().unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// Reads to the end of the connection; `None` if nothing came.
    pub(crate) fn read(client: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        // A connection may be reset behind an answer.
        let _ = client.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.is_empty() {
            return None;
        }
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").expect("a field"))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Some(Self { status, headers, body })
    }

    /// The lines of a field, joined.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines: Vec<_> = self
            .headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
            .collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    /// Whether the cache answered.
    pub(crate) fn is_hit(&self) -> bool {
        self.header("cache-status").is_some_and(|status| status.contains("; hit"))
    }
}

/// A body without the lengths of its chunks.
fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("the length of a chunk");
        if length == 0 {
            break;
        }
        whole.push_str(&rest[..length]);
        body = &rest[length + 2..];
    }
    whole
}

/// Asks the admin listener.
pub(crate) fn admin(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut client = TcpStream::connect(address).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    client.write_all(request.as_bytes()).unwrap();
    let answer = Answer::read(&mut client).expect("an answer");
    (answer.status, answer.body)
}

/// Text that is fresh for a minute.
pub(crate) fn fresh(body: &str) -> Response {
    Response::new("text/plain", body).header("Cache-Control", "max-age=60")
}
