//! The log while it is received: which transaction an event is part of, what that changed, and how
//! far everything has been received.
//!
//! What can't be understood, and may have changed something, is told as if all rows of the tables
//! that are followed had gone. An event of a type that nobody knows changes nothing: both servers
//! add such, for those who understand them.

use std::collections::HashMap;
use std::sync::Arc;

use larder_core::change::{Change, Table};
use larder_core::feed::Notice;

use super::event::{Head, extended, gtid, kind};
use super::place::{Place, file_number};
use super::watched::Watched;
use crate::binlog::{Query, Rows, Server, Statement, TableMap};
use crate::gathered::Gathered;

/// A transaction that was committed, and may not be visible yet.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) notices: Vec<Notice>,
    pub(super) bytes: usize,
    /// The place behind it.
    pub(super) end: Place,
    /// Its number, of MySQL.
    pub(super) gtid: Option<String>,
    pub(super) seconds: u32,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Log {
    server: Server,
    watched: Watched,
    /// Nothing that was read can be lost by a crash.
    is_durable: bool,
    /// Everything before this place has been received.
    pub(super) received: Place,
    /// The file that is read, and how far.
    reading: Place,
    /// That file ends here: another one comes, or the server was stopped.
    is_ended: bool,
    /// The transaction that is being received.
    open: Option<Gathered>,
    /// Its number was told, and its end wasn't: nobody may go on from here.
    is_begun: bool,
    gtid: Option<String>,
    /// It came compressed: what is in it has no places of its own.
    is_payload: bool,
    /// The tables of the statement that is being received, by their numbers; of those that are
    /// watched, what they are like.
    maps: HashMap<u64, Option<Mapped>>,
    /// How each table was described last.
    described: HashMap<usize, (Vec<u8>, Arc<TableMap>)>,
    /// A definition changed: what is watched is to be asked for again.
    pub(super) is_outdated: bool,
}

#[derive(Clone, Debug)]
struct Mapped {
    watch: usize,
    /// `None` where it can't be read.
    map: Option<Arc<TableMap>>,
}

impl Log {
    /// The log from this place on.
    pub(super) fn new(server: Server, watched: Watched, begins: Place, is_durable: bool) -> Self {
        Self {
            server,
            watched,
            is_durable,
            received: begins,
            reading: begins,
            is_ended: false,
            open: None,
            is_begun: false,
            gtid: None,
            is_payload: false,
            maps: HashMap::new(),
            described: HashMap::new(),
            is_outdated: false,
        }
    }

    /// Something else is to be watched from here on.
    pub(super) fn watch(&mut self, watched: Watched) {
        self.watched = watched;
        self.described.clear();
        self.maps.clear();
        self.is_outdated = false;
    }

    /// Takes the next event, and returns what is committed by it.
    pub(super) fn receive(&mut self, head: Head, body: &[u8]) -> Option<Committed> {
        if head.end != 0 && !self.is_payload && head.kind != kind::HEARTBEAT {
            self.reading.offset = extended(self.reading.offset, head.end);
        }
        match head.kind {
            kind::ROTATE => return self.rotate(head, body),
            kind::STOP => {
                // Who goes on from behind it wouldn't know that the server was stopped in order.
                self.is_ended = true;
                return None;
            }
            kind::FORMAT => self.is_ended = false,
            kind::HEARTBEAT => self.heartbeat(head, body),
            kind::GTID | kind::ANONYMOUS_GTID | kind::TAGGED_GTID => {
                self.gtid = gtid(body);
                self.begin(false);
                return None;
            }
            kind::MARIADB_GTID => {
                // The first bit of its flags: it is one event by itself.
                let is_alone = body.get(12).is_some_and(|flags| flags & 1 == 1);
                self.begin(!is_alone);
                return None;
            }
            kind::PAYLOAD => self.is_payload = true,
            kind::TABLE_MAP => self.map(body),
            kind::QUERY | kind::QUERY_COMPRESSED => {
                match Query::decode(body, head.kind == kind::QUERY_COMPRESSED) {
                    Ok(query) => return self.query(head, &query),
                    Err(_) => return self.anything(head),
                }
            }
            kind::XID => return self.end(head),
            kind::XA_PREPARE => {
                // Only the first byte says whether it is committed by that.
                if body.first() != Some(&0) {
                    return self.end(head);
                }
                self.open = None;
                return self.end(head);
            }
            kind::BEGIN_LOAD
            | kind::EXECUTE_LOAD
            | kind::INCIDENT
            | kind::PARTIAL_UPDATE
            | kind::OLD_WRITE..=kind::OLD_DELETE => return self.anything(head),
            _ => self.rows(head.kind, body),
        }
        self.idle();
        None
    }

    /// Between transactions, everything that was read counts.
    fn idle(&mut self) {
        if self.open.is_none() && !self.is_begun && !self.is_ended {
            self.received = self.received.max(self.reading);
        }
    }

    /// Another file. The server says so in front of each that it sends, and in the one before, if
    /// that was ended in order.
    fn rotate(&mut self, head: Head, body: &[u8]) -> Option<Committed> {
        if head.end != 0 {
            self.is_ended = true;
            return None;
        }
        let name = body.get(8..).unwrap_or_default();
        let file = file_number(name).filter(|&file| file != self.reading.file)?;
        let was_ended = std::mem::take(&mut self.is_ended);
        self.reading = Place { file, offset: 4 };
        // What a crash left unfinished was rolled back.
        self.open = None;
        self.is_begun = false;
        self.is_payload = false;
        self.maps.clear();
        self.described.clear();
        if was_ended || self.is_durable {
            return None;
        }
        // What was read may not have survived.
        self.open = Some(self.everything());
        self.end(head)
    }

    /// While nothing happens, the server says where it is.
    fn heartbeat(&mut self, head: Head, body: &[u8]) {
        let name = body.split(|&byte| byte == 0).next().unwrap_or_default();
        if head.end != 0 && file_number(name) == Some(self.reading.file) {
            self.reading.offset = extended(self.reading.offset, head.end);
        }
    }

    fn begin(&mut self, is_transaction: bool) {
        // One that never ended: something of it wasn't understood.
        let lost = self.open.take().is_some();
        self.is_begun = true;
        self.is_payload = false;
        if is_transaction || lost {
            self.open = Some(if lost { self.everything() } else { Gathered::default() });
        }
    }

    /// A transaction ends, or whatever stood alone.
    fn end(&mut self, head: Head) -> Option<Committed> {
        self.is_begun = false;
        self.is_payload = false;
        self.maps.clear();
        self.received = self.received.max(self.reading);
        let gtid = self.gtid.take();
        let (notices, bytes) = self.open.take()?.finish();
        (!notices.is_empty()).then(|| Committed {
            notices,
            bytes,
            end: self.received,
            gtid,
            seconds: head.seconds,
        })
    }

    fn query(&mut self, head: Head, query: &Query<'_>) -> Option<Committed> {
        let is_in_transaction = self.open.is_some();
        match query.statement() {
            Statement::Begin => {
                self.open.get_or_insert_default();
                self.is_begun = true;
                return None;
            }
            Statement::End => return self.end(head),
            Statement::Nothing => {}
            Statement::Truncate => self.touch(query, false),
            Statement::Definition => {
                self.touch(query, true);
                self.is_outdated = true;
            }
            Statement::View => {
                self.alter(self.watched.covered.clone());
                self.is_outdated = true;
            }
            Statement::CommitPrepared | Statement::Anything => return self.anything(head),
        }
        if is_in_transaction { None } else { self.end(head) }
    }

    /// Tells the tables that a statement names.
    fn touch(&mut self, query: &Query<'_>, is_altered: bool) {
        let named = |table: &&Table| query.names(table);
        let tables: Vec<Table> = self.watched.covered.iter().filter(named).cloned().collect();
        if is_altered {
            return self.alter(tables);
        }
        tables.into_iter().for_each(|table| self.push(Notice::truncated(table)));
    }

    /// Tells that these answer otherwise. What a definition changes in rows isn't in the log, nor
    /// is what they are called.
    fn alter(&mut self, tables: Vec<Table>) {
        for table in tables {
            self.push(Notice::Altered(table.clone()));
            self.push(Notice::truncated(table));
        }
    }

    /// Anything may have been changed: by itself, or in the transaction that is open.
    fn anything(&mut self, head: Head) -> Option<Committed> {
        let is_in_transaction = self.open.is_some();
        for table in self.watched.covered.clone() {
            self.push(Notice::truncated(table));
        }
        if is_in_transaction { None } else { self.end(head) }
    }

    fn everything(&self) -> Gathered {
        let mut all = Gathered::default();
        for table in &self.watched.covered {
            all.push(Notice::truncated(table.clone()));
        }
        all
    }

    fn push(&mut self, notice: Notice) {
        self.open.get_or_insert_default().push(notice);
    }

    fn map(&mut self, body: &[u8]) {
        let Ok((id, schema, name)) = TableMap::head(body) else { return };
        let Some(watch) = self.watched.find(schema, name) else {
            self.maps.insert(id, None);
            return;
        };
        // Behind its number it is the same as long as the table is.
        let description = &body[6..];
        let known = self.described.get(&watch);
        let map = match known {
            Some((known, map)) if known == description => Some(Arc::clone(map)),
            known => {
                let is_another = known.is_some();
                let overrides = &self.watched.tables[watch].overrides;
                let map = TableMap::decode(body, &self.server, overrides).ok().map(Arc::new);
                if let Some(map) = &map {
                    self.described.insert(watch, (description.to_vec(), Arc::clone(map)));
                }
                // Somebody changed it without writing that into the log.
                if is_another && self.watched.tables[watch].is_covered {
                    let table = self.watched.tables[watch].table.clone();
                    self.push(Notice::Altered(table.clone()));
                    self.push(Notice::truncated(table));
                }
                map
            }
        };
        self.maps.insert(id, Some(Mapped { watch, map }));
    }

    fn rows(&mut self, kind: u8, body: &[u8]) {
        let rows = match Rows::decode(kind, body) {
            Ok(None) => return,
            Ok(Some(rows)) => rows,
            Err(_) => return self.unreadable(None),
        };
        match self.maps.get(&rows.table).cloned() {
            Some(None) => {}
            None => self.unreadable(None),
            Some(Some(Mapped { watch, map: None })) => self.unreadable(Some(watch)),
            Some(Some(Mapped { watch, map: Some(map) })) => {
                for change in rows.changes(&map) {
                    let Ok(changed) = change else {
                        self.unreadable(Some(watch));
                        break;
                    };
                    let watch = &self.watched.tables[watch];
                    let open = self.open.get_or_insert_default();
                    for reached in watch.reached(&changed) {
                        open.push(Notice::truncated(reached.clone()));
                    }
                    if watch.is_covered {
                        let table = watch.table.clone();
                        open.push(Notice::Changed(Change { table, changed }));
                    }
                }
            }
        }
        if rows.ends_statement {
            self.maps.clear();
        }
    }

    /// Rows of this table, or of any, that can't be read.
    fn unreadable(&mut self, watch: Option<usize>) {
        let tables = match watch.map(|watch| &self.watched.tables[watch]) {
            None => self.watched.covered.clone(),
            Some(watch) => {
                let own = watch.is_covered.then(|| watch.table.clone());
                let reached = watch.all_reached().cloned();
                own.into_iter().chain(reached).collect()
            }
        };
        for table in tables {
            self.push(Notice::truncated(table));
        }
    }
}
