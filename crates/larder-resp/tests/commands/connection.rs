//! HELLO, AUTH, RESET, QUIT, SELECT, CLIENT, PING, ECHO, and what a client may do before it has
//! authenticated.

use larder_resp::codec::{Reply, encode_request};

use crate::common::{
    Bench, Setup, assert_error, bulk, field, int, ok, replies, row, simple, split, text, words,
};

fn with_password() -> Bench {
    Bench::with(Setup { password: Some("secret"), ..Setup::default() })
}

#[tokio::test]
async fn hello_chooses_the_protocol() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk("SET p v").await;
    let maps = |reply: &Reply| matches!(reply, Reply::Map(_));
    for (hello, proto, resp3) in [
        ("HELLO", 2, false),
        ("HELLO 3", 3, true),
        ("HELLO", 3, true),
        ("hello 2 setname x", 2, false),
        ("HELLO 3 SETNAME x", 3, true),
    ] {
        let reply = client.talk(hello).await;
        assert_eq!(maps(&reply), resp3, "{hello}");
        assert_eq!(text(field(&reply, "server")), "larder");
        assert_eq!(text(field(&reply, "version")), env!("CARGO_PKG_VERSION"));
        assert_eq!(field(&reply, "proto"), &int(proto));
        assert_eq!(field(&reply, "id"), &int(1));
        assert_eq!(text(field(&reply, "mode")), "standalone");
        assert_eq!(text(field(&reply, "role")), "master");
        assert_eq!(field(&reply, "modules"), &Reply::Array(vec![]));
    }
    for (line, code, message) in [
        ("HELLO 1", "NOPROTO", "unsupported protocol version"),
        ("HELLO 4", "NOPROTO", "unsupported protocol version"),
        ("HELLO x", "ERR", "Protocol version is not an integer or out of range"),
        ("HELLO 2 NONSENSE", "ERR", "Syntax error in HELLO option 'NONSENSE'"),
        ("HELLO 2 SETNAME", "ERR", "Syntax error in HELLO option 'SETNAME'"),
        ("HELLO 2 AUTH default", "ERR", "Syntax error in HELLO option 'AUTH'"),
    ] {
        assert_error(&client.talk(line).await, code, message);
    }
    assert!(maps(&client.talk("CONFIG GET save").await), "an error changes nothing");
}

#[tokio::test]
async fn replies_have_the_form_of_the_protocol() {
    let bench = Bench::new();
    let mut client = bench.client();
    let lines =
        ["GET p", "MGET p", "COMMAND INFO nothing", "COMMAND DOCS nothing", "CLIENT GETNAME"];
    let mut raw = async |hello: &str| {
        client.talk(hello).await;
        let mut input = Vec::new();
        lines.iter().for_each(|line| encode_request(&mut input, &words(line)));
        String::from_utf8(client.send(&input).await).unwrap()
    };
    assert_eq!(raw("HELLO 2").await, "$-1\r\n*1\r\n$-1\r\n*1\r\n$-1\r\n*0\r\n$-1\r\n");
    assert_eq!(raw("HELLO 3").await, "_\r\n*1\r\n_\r\n*1\r\n_\r\n%0\r\n_\r\n");
}

#[tokio::test]
async fn the_protocol_changes_within_a_pipeline_where_hello_stands() {
    let bench = Bench::new();
    let mut client = bench.client();
    let lines = ["GET user:1000", "HELLO 3", "GET user:2000", "HELLO 2", "GET user:3000"];
    let mut input = Vec::new();
    lines.iter().for_each(|line| encode_request(&mut input, &words(line)));
    let output = client.send(&input).await;
    let raw: Vec<_> = split(&output).into_iter().map(|(_, raw)| raw.to_vec()).collect();
    assert_eq!([&raw[0], &raw[2], &raw[4]], [&b"$-1\r\n"[..], b"_\r\n", b"$-1\r\n"]);
}

#[tokio::test]
async fn nothing_is_told_before_the_password() {
    let bench = with_password();
    let mut client = bench.client();
    for line in
        ["GET p", "GET user:1", "GET user:x", "PING", "INFO", "SELECT 0", "CLIENT ID", "COMMAND"]
    {
        assert_error(&client.talk(line).await, "NOAUTH", "Authentication required.");
    }
    // As in Redis, which checks that first.
    assert_error(&client.talk("GET").await, "ERR", "wrong number of arguments for 'get' command");
    assert_error(&client.talk("NONSENSE").await, "ERR", "unknown command 'NONSENSE'");
    assert_error(&client.talk("HELLO 3").await, "NOAUTH", "HELLO must be called with the client");
    for line in ["AUTH wrong", "AUTH ''", "AUTH secre", "AUTH secrets", "AUTH default wrong"] {
        assert_error(&client.talk(line).await, "WRONGPASS", "invalid username-password pair");
    }
    assert_error(&client.talk("AUTH other secret").await, "WRONGPASS", "invalid username");
    assert_error(&client.talk("AUTH default secret more").await, "ERR", "syntax error");
    assert_error(&client.talk("HELLO 3 AUTH default wrong").await, "WRONGPASS", "");
    assert_error(&client.talk("GET p").await, "NOAUTH", "");
    assert_eq!(bench.questions(), 0);
    assert_eq!(client.talk("AUTH secret").await, ok());
    assert_eq!(client.talk("GET user:1").await, row("user:1"));
    assert_error(&client.talk("AUTH wrong").await, "WRONGPASS", "");
    assert_eq!(client.talk("PING").await, simple("PONG"), "it was authenticated before");
}

#[tokio::test]
async fn every_way_to_authenticate_works() {
    let bench = with_password();
    for line in ["AUTH secret", "auth default secret"] {
        let mut client = bench.client();
        assert_eq!(client.talk_all(&[line, "PING"]).await, [ok(), simple("PONG")]);
    }
    let mut client = bench.client();
    let replies =
        client.talk_all(&["HELLO 3 AUTH default secret SETNAME me", "CLIENT GETNAME"]).await;
    assert_eq!(field(&replies[0], "proto"), &int(3));
    assert_eq!(replies[1], bulk("me"));
}

#[tokio::test]
async fn without_a_password_auth_says_so() {
    let bench = Bench::new();
    let mut client = bench.client();
    let reply = client.talk("AUTH x").await;
    assert_error(&reply, "ERR", "called without any password configured for the default user");
    assert_eq!(client.talk("AUTH default x").await, ok());
    assert_error(&client.talk("AUTH other x").await, "WRONGPASS", "");
    assert!(matches!(client.talk("HELLO 3 AUTH default x").await, Reply::Map(_)));
}

/// A SET whose value has so many bytes.
fn set(bytes: usize) -> Vec<u8> {
    let mut input = Vec::new();
    encode_request(&mut input, &["SET", "p", &"x".repeat(bytes)]);
    input
}

#[tokio::test]
async fn little_is_taken_from_a_client_before_it_has_authenticated() {
    let bench = with_password();
    let replies_to = async |input: &[u8]| {
        let mut client = bench.client();
        let replies = replies(&client.send(input).await);
        (replies, client.closed)
    };
    let (answers, closed) = replies_to(&set(16 * 1024)).await;
    assert_error(&answers[0], "NOAUTH", "");
    assert!(!closed);
    let (answers, closed) = replies_to(&set(16 * 1024 + 1)).await;
    assert_error(&answers[0], "ERR", "Protocol error: unauthenticated bulk length");
    assert!(closed);
    let (answers, closed) = replies_to(b"*11\r\n").await;
    assert_error(&answers[0], "ERR", "Protocol error: unauthenticated multibulk length");
    assert!(closed);
}

#[tokio::test]
async fn the_limits_widen_with_the_password_within_one_pipeline_and_narrow_with_reset() {
    let bench = with_password();
    for auth in ["AUTH secret", "HELLO 2 AUTH default secret"] {
        let mut input = Vec::new();
        encode_request(&mut input, &words(auth));
        input.extend(set(100_000));
        encode_request(&mut input, &["RESET"]);
        input.extend(set(100_000));
        let mut client = bench.client();
        let answers = replies(&client.send(&input).await);
        assert_eq!(answers[1..3], [ok(), simple("RESET")]);
        assert_error(&answers[3], "ERR", "Protocol error: unauthenticated bulk length");
        assert!(client.closed && answers.len() == 4);
    }
}

#[tokio::test]
async fn reset_makes_the_connection_new() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk("HELLO 3 SETNAME me").await;
    let mut input = Vec::new();
    ["RESET", "GET nothing"].iter().for_each(|line| encode_request(&mut input, &words(line)));
    assert_eq!(client.send(&input).await, b"+RESET\r\n$-1\r\n");
    assert_eq!(client.talk("CLIENT GETNAME").await, Reply::Null);
    let mut client = with_password().client();
    let replies = client.talk_all(&["AUTH secret", "RESET", "PING"]).await;
    assert_error(&replies[2], "NOAUTH", "");
}

#[tokio::test]
async fn quit_answers_and_closes_before_what_follows() {
    let bench = with_password();
    let mut client = bench.client();
    assert_eq!(client.talk_all(&["QUIT", "AUTH secret"]).await, [ok()]);
    assert!(client.closed);
    let mut client = bench.client();
    let replies = client.talk_all(&["AUTH secret", "GET user:1", "QUIT", "SET p v"]).await;
    assert_eq!(replies, [ok(), row("user:1"), ok()]);
    assert!(client.closed);
}

#[tokio::test]
async fn the_only_database_is_0() {
    let mut client = Bench::new().client();
    assert_eq!(client.talk("SELECT 0").await, ok());
    for number in ["1", "-1", "2147483647"] {
        let reply = client.talk(&format!("SELECT {number}")).await;
        assert_error(&reply, "ERR", "DB index is out of range");
    }
}

#[tokio::test]
async fn client_names_and_numbers_connections() {
    let bench = Bench::new();
    let (mut one, mut two) = (bench.client(), bench.client());
    assert_eq!(one.talk_all(&["CLIENT ID", "client id"]).await, [int(1), int(1)]);
    assert_eq!(two.talk("CLIENT ID").await, int(2));
    assert_eq!(one.talk("CLIENT GETNAME").await, Reply::Null);
    assert_eq!(one.talk("CLIENT SETNAME worker-1").await, ok());
    assert_eq!(one.talk("CLIENT GETNAME").await, bulk("worker-1"));
    for name in ["a b", "a\nb", "a\u{7f}", "ä"] {
        let reply = one.command(&["CLIENT", "SETNAME", name]).await;
        assert_error(&reply, "ERR", "Client names cannot contain spaces, newlines or special");
    }
    let longest = "n".repeat(256);
    assert_eq!(one.command(&["CLIENT", "SETNAME", &longest]).await, ok());
    let reply = one.command(&["CLIENT", "SETNAME", &(longest.clone() + "n")]).await;
    assert_error(&reply, "ERR", "a client name has at most 256 bytes");
    assert_eq!(one.talk("CLIENT GETNAME").await, bulk(&longest));
    assert_eq!(one.command(&["CLIENT", "SETNAME", ""]).await, ok());
    assert_eq!(one.talk("CLIENT GETNAME").await, Reply::Null);
    assert_eq!(one.talk("CLIENT SETINFO LIB-NAME redis-py").await, ok());
    for (line, message) in [
        ("CLIENT", "wrong number of arguments for 'client' command"),
        ("CLIENT ID 1", "wrong number of arguments for 'client|id' command"),
        ("CLIENT SETINFO x", "wrong number of arguments for 'client|setinfo' command"),
        ("CLIENT KILL", "unknown subcommand 'KILL'. Try CLIENT HELP."),
    ] {
        assert_error(&one.talk(line).await, "ERR", message);
    }
}

#[tokio::test]
async fn ping_and_echo_answer() {
    let mut client = Bench::new().client();
    let replies = client.talk_all(&["PING", "PING hello", "ECHO hello", "PING a b", "ECHO"]).await;
    assert_eq!(replies[..3], [simple("PONG"), bulk("hello"), bulk("hello")]);
    assert_error(&replies[3], "ERR", "wrong number of arguments for 'ping' command");
    assert_error(&replies[4], "ERR", "wrong number of arguments for 'echo' command");
}

#[tokio::test]
async fn who_speaks_http_is_sent_away() {
    for (input, answered) in [
        ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET p v\r\n", 0),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET p v\r\n", 1),
        ("post x\r\n", 0),
    ] {
        for bench in [Bench::new(), with_password()] {
            let mut client = bench.client();
            let replies = replies(&client.send(input.as_bytes()).await);
            assert!(client.closed);
            assert_eq!(replies.len(), answered, "{input}");
            assert_eq!(bench.service.pools()[0].memory.entries(), 0);
        }
    }
}
