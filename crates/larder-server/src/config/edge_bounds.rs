//! How much an edge takes of its clients, asks of its origin, and keeps.

use std::path::PathBuf;
use std::time::Duration;

use super::document::Written;
use super::findings::{Findings, Reported};
use super::options::edge as options;
use super::scope::Scope;
use super::value::size_text;

/// The longest head that may be allowed, in bytes.
const HEADER_BYTES_MAX: u64 = 1 << 20;
/// What the head of a stored response may take.
const HEAD_BYTES_MAX: u64 = 256 << 10;

/// How much an edge takes of its clients and asks of its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeBounds {
    /// How long connecting to the origin may take.
    pub connect_timeout: Duration,
    /// How long the origin may take to the head of its answer.
    pub answer_timeout: Duration,
    /// How long the sender of a body may be silent.
    pub body_timeout: Duration,
    /// How many requests the origin is asked at once.
    pub requests_max: usize,
    /// How many clients are connected at once.
    pub clients_max: usize,
    /// How long a client may take to send the head of a request.
    pub head_timeout: Duration,
    /// How long a connection without a request is kept.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer that is ready.
    pub send_timeout: Duration,
    /// The longest head of a request, in bytes.
    pub header_bytes_max: usize,
}

/// Where bodies are that are too long for memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// A folder of its own; relative to where larder is started.
    pub folder: PathBuf,
    /// What they may take, in bytes.
    pub bytes_max: u64,
    /// From which length on a body goes there.
    pub from: u64,
}

impl EdgeBounds {
    pub(super) fn resolve(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Self, Reported> {
        let connect_timeout = scope.or_default(written, &options::CONNECT_TIMEOUT);
        let answer_timeout = scope.or_default(written, &options::ANSWER_TIMEOUT);
        let body_timeout = scope.or_default(written, &options::BODY_TIMEOUT);
        let requests_max = scope.or_default(written, &options::REQUESTS_MAX);
        let clients_max = scope.or_default(written, &options::CLIENTS_MAX);
        let head_timeout = scope.or_default(written, &options::HEAD_TIMEOUT);
        let idle_timeout = scope.or_default(written, &options::IDLE_TIMEOUT);
        let send_timeout = scope.or_default(written, &options::SEND_TIMEOUT);
        let header_bytes_max = scope.or_default(written, &options::HEADER_BYTES_MAX)?.0;
        if header_bytes_max > HEADER_BYTES_MAX {
            return Err(scope.findings.error(
                &written.value(&options::HEADER_BYTES_MAX.about),
                "`header_bytes_max` must be at most 1MiB",
                "each client may make the server hold so much: 64KiB is more than browsers send",
            ));
        }
        Ok(Self {
            connect_timeout: connect_timeout?.0,
            answer_timeout: answer_timeout?.0,
            body_timeout: body_timeout?.0,
            requests_max: requests_max?.0,
            clients_max: clients_max?.0,
            head_timeout: head_timeout?.0,
            idle_timeout: idle_timeout?.0,
            send_timeout: send_timeout?.0,
            header_bytes_max: usize::try_from(header_bytes_max).unwrap_or(usize::MAX),
        })
    }
}

impl StoreConfig {
    pub(super) fn resolve(
        written: &Written,
        scope: &mut Scope<'_, '_>,
    ) -> Result<Option<Self>, Reported> {
        let folder = scope.get(written, &options::STORE);
        let bytes_max = scope.or_default(written, &options::STORE_LIMIT);
        let from = scope.or_default(written, &options::STORE_FROM);
        let Some(folder) = folder? else {
            for option in [&options::STORE_LIMIT.about, &options::STORE_FROM.about] {
                if let Some(entry) = written.entry(option) {
                    scope.findings.warning(
                        [&entry.key],
                        format!("`{}` never applies: there is no `store`", option.name),
                        "name a folder: `store = \"/var/cache/larder/shop\"`, or leave it out",
                    );
                }
            }
            return Ok(None);
        };
        Ok(Some(Self { folder: folder.0.into(), bytes_max: bytes_max?.0, from: from?.0 }))
    }
}

/// Says what keeps the longest body from being stored at all.
pub(super) fn check_room(
    written: &Written,
    (memory, object_max, store): (u64, u64, Option<&StoreConfig>),
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let in_memory = store.map_or(object_max, |store| object_max.min(store.from));
    if in_memory.saturating_add(HEAD_BYTES_MAX) > memory {
        let at = written.place(&options::OBJECT_MAX.about);
        let what = format!(
            "a body of {} has no room in the memory of {}, which is {}",
            size_text(in_memory),
            written.header(),
            size_text(memory)
        );
        let cure = "give it more `memory` (a body and 256KiB), or a lower `object_max` or \
                    `store_from`";
        return Err(findings.error(&at, what, cure));
    }
    if store.is_some_and(|store| object_max > store.bytes_max) {
        let at = written.place(&options::OBJECT_MAX.about);
        let what = "`object_max` is more than all of `store_limit`";
        return Err(findings.error(&at, what, "raise the one, or lower the other"));
    }
    Ok(())
}
