//! NATS, started, asked, killed, paused and restarted.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use larder_test::Nats;

/// A client that speaks the protocol line by line.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(nats: &Nats) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", nats.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut client = Self(BufReader::new(stream));
        let info = client.hear();
        assert!(info.starts_with("INFO ") && info.contains("\"jetstream\":true"), "{info}");
        client.say("CONNECT {\"verbose\":false}");
        client
    }

    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    fn publish(&mut self, subject: &str, reply: &str, text: &str) {
        self.say(&format!("PUB {subject} {reply} {}\r\n{text}", text.len()));
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Asks `JetStream`, and returns what it answers.
    fn ask(&mut self, subject: &str, text: &str) -> String {
        self.say("SUB answer 1");
        self.publish(&format!("$JS.API.{subject}"), "answer", text);
        let head = self.hear();
        assert!(head.starts_with("MSG answer 1 "), "{head}");
        let answer = self.hear();
        self.say("UNSUB 1");
        answer
    }
}

#[test]
fn what_is_published_reaches_who_subscribed() {
    let nats = Nats::start();
    assert_eq!(nats.url(), format!("nats://127.0.0.1:{}", nats.port()));
    let (mut one, mut other) = (Client::connect(&nats), Client::connect(&nats));
    one.say("SUB greetings 7\r\nPING");
    assert_eq!(one.hear(), "PONG");
    other.publish("greetings", "", "hello");
    assert_eq!((one.hear(), one.hear()), ("MSG greetings 7 5".to_owned(), "hello".to_owned()));
    assert!(nats.stop().success());
}

#[test]
fn a_stream_survives_a_kill() {
    let nats = Nats::start();
    let mut client = Client::connect(&nats);
    let made = client.ask("STREAM.CREATE.S", r#"{"name":"S","subjects":["s.>"]}"#);
    assert!(made.contains("stream_create_response") && !made.contains("error"), "{made}");
    client.say("SUB stored 2");
    client.publish("s.a", "stored", "hello");
    assert!(client.hear().starts_with("MSG stored 2 "));
    assert!(client.hear().contains("\"seq\":1"));
    let port = nats.port();
    nats.kill();
    nats.restart();
    assert_eq!(nats.port(), port);
    let info = Client::connect(&nats).ask("STREAM.INFO.S", "");
    assert!(info.contains("\"messages\":1"), "{info}");
}

#[test]
fn a_paused_one_answers_after_it_is_resumed() {
    let nats = Nats::start();
    let mut client = Client::connect(&nats);
    client.say("PING");
    assert_eq!(client.hear(), "PONG");
    nats.pause();
    client.say("PING");
    client.0.get_ref().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let silence = client.0.read_line(&mut String::new()).unwrap_err();
    assert_eq!(silence.kind(), ErrorKind::WouldBlock);
    nats.resume();
    client.0.get_ref().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(client.hear(), "PONG");
}

#[test]
#[should_panic(expected = "no-such-file")]
fn one_that_does_not_come_up_shows_its_log() {
    let _ = Nats::start_with(&["--config", "/no-such-file"]);
}
