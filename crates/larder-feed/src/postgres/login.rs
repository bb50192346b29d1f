//! How the connection that the log comes by is opened: who we are, and what is asked for.
//!
//! Source: the PostgreSQL documentation, chapters "Start-up" and "SASL Authentication". A password
//! is proven by SCRAM-SHA-256, or sent where the server wants it in clear, as the other connection
//! of the same URL does.
//!
//! It knows nothing of what comes then.

use larder_core::{Error, ErrorKind, Result};
use pgwire_replication::PgWireError;
use pgwire_replication::auth::ScramClient;
use pgwire_replication::protocol::framing::{
    MessageReader, write_password_message, write_query, write_startup_message,
};
use pgwire_replication::protocol::messages::{ErrorFields, auth, parse_auth_request};
use tokio::io::{AsyncRead, AsyncWrite};

use super::config;
use super::control::internal;

/// The version of the protocol, 3.0.
const VERSION: i32 = 3 << 16;
/// What a server says before it sends its log is no longer.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// What bytes go through, whatever that is.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Who opens it.
pub(super) struct User<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
    pub(super) database: &'a str,
    pub(super) application: &'a str,
}

/// A connection before the log is sent by it.
pub(super) struct Login<S> {
    stream: S,
    reader: MessageReader,
}

impl<S: Stream> Login<S> {
    /// Says who we are. When it returns the server waits for what it is asked.
    pub(super) async fn new(stream: S, user: &User<'_>) -> Result<Self> {
        let reader = MessageReader::new().with_max_message_size(MESSAGE_BYTES_MAX);
        let mut login = Self { stream, reader };
        let parameters = [
            ("user", user.name),
            ("database", user.database),
            ("replication", "database"),
            ("client_encoding", "UTF8"),
            ("application_name", user.application),
        ];
        let started = write_startup_message(&mut login.stream, VERSION, &parameters).await;
        started.map_err(|error| lost(&error))?;
        loop {
            let (kind, said) = login.read().await?;
            match kind {
                b'R' => match parse_auth_request(&said).map_err(|error| lost(&error))? {
                    (auth::OK, _) => {}
                    (auth::CLEARTEXT_PASSWORD, _) => {
                        login.answer(format!("{}\0", user.password).as_bytes()).await?;
                    }
                    (auth::SASL, mechanisms) => login.prove(user, mechanisms).await?,
                    (other, _) => {
                        return Err(config(format!(
                            "the log can't be followed: the server asks for the password in a way \
                             that isn't spoken here ({other}): let {} in by scram-sha-256",
                            user.name
                        )));
                    }
                },
                b'Z' => return Ok(login),
                _ => {}
            }
        }
    }

    /// Asks for the log of a slot, as this publication tells it. When it returns the server sends
    /// it. Neither name needs quotes.
    pub(super) async fn start(mut self, slot: &str, publication: &str) -> Result<S> {
        let ask = format!(
            "START_REPLICATION SLOT {slot} LOGICAL 0/0 \
             (proto_version '1', publication_names '{publication}', messages 'true')"
        );
        write_query(&mut self.stream, &ask).await.map_err(|error| lost(&error))?;
        while self.read().await?.0 != b'W' {}
        Ok(self.stream)
    }

    /// The next message that is no error: what it is, and what it says.
    async fn read(&mut self) -> Result<(u8, bytes::Bytes)> {
        let message = self.reader.read(&mut self.stream).await.map_err(|error| lost(&error))?;
        match message.tag {
            b'E' => Err(failed(&message.payload)),
            tag => Ok((tag, message.payload)),
        }
    }

    async fn answer(&mut self, said: &[u8]) -> Result<()> {
        write_password_message(&mut self.stream, said).await.map_err(|error| lost(&error))
    }

    /// Proves that we know the password, and lets the server prove that it does.
    async fn prove(&mut self, user: &User<'_>, mechanisms: &[u8]) -> Result<()> {
        const MECHANISM: &str = "SCRAM-SHA-256";
        if !mechanisms.split(|&byte| byte == 0).any(|one| one == MECHANISM.as_bytes()) {
            let message = "the log can't be followed: the server doesn't offer SCRAM-SHA-256";
            return Err(config(message));
        }
        let scram = ScramClient::new(user.name);
        let first = scram.client_first.as_bytes();
        let length = u32::try_from(first.len()).map_err(|error| internal(&error))?;
        let begin = [MECHANISM.as_bytes(), b"\0", &length.to_be_bytes(), first].concat();
        self.answer(&begin).await?;
        let said = self.proof(auth::SASL_CONTINUE).await?;
        let (last, about, salted) =
            scram.client_final(user.password, &said).map_err(|error| lost(&error))?;
        self.answer(last.as_bytes()).await?;
        let said = self.proof(auth::SASL_FINAL).await?;
        ScramClient::verify_server_final(&said, &salted, &about).map_err(|error| lost(&error))
    }

    /// What the server says in this step.
    async fn proof(&mut self, step: i32) -> Result<String> {
        loop {
            let (kind, said) = self.read().await?;
            if kind != b'R' {
                continue;
            }
            return match parse_auth_request(&said).map_err(|error| lost(&error))? {
                (is, said) if is == step => Ok(String::from_utf8_lossy(said).into_owned()),
                _ => Err(config("the log can't be followed: the server proves nothing")),
            };
        }
    }
}

/// What an error of the server means to who follows.
pub(super) fn failed(said: &[u8]) -> Error {
    let fields = ErrorFields::parse(said);
    let message = format!("the log can't be followed: {}", fields.to_error_string());
    match fields.code.as_deref() {
        // object_in_use
        Some("55006") => Error::new(ErrorKind::Refused, "another process follows the feed"),
        // invalid_password, invalid_authorization_specification
        Some("28P01" | "28000") => config(message),
        _ => Error::new(ErrorKind::SourceDown, message),
    }
}

fn lost(error: &PgWireError) -> Error {
    match error {
        PgWireError::Auth(_) => config(format!("the log can't be followed: {error}")),
        PgWireError::MessageTooLarge { .. } => internal(error),
        _ => Error::new(ErrorKind::SourceDown, format!("the log can't be followed: {error}")),
    }
}
