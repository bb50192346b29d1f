//! What a node of a cluster says about all of them: its answer to `CLUSTER NODES`, read.
//!
//! It asks nobody and remembers nothing.

use std::ops::RangeInclusive;

/// A cluster as one of its nodes sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Topology {
    pub(super) members: Vec<Member>,
}

/// One node.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) port: u16,
    pub(super) is_primary: bool,
    /// Whom it copies.
    pub(super) primary: Option<String>,
    /// Met and not given up: neither in its handshake nor failed.
    pub(super) is_known: bool,
    /// The connection of the answering node to it stands.
    pub(super) is_connected: bool,
    pub(super) slots: Vec<RangeInclusive<u16>>,
}

impl Topology {
    /// Reads an answer; lines that aren't understood are left out.
    pub(super) fn read(answer: &str) -> Self {
        Self { members: answer.lines().filter_map(Member::read).collect() }
    }

    pub(super) fn owner(&self, slot: u16) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| member.is_primary && member.slots.iter().any(|r| r.contains(&slot)))
    }

    pub(super) fn of_port(&self, port: u16) -> Option<&Member> {
        self.members.iter().find(|member| member.port == port)
    }
}

impl Member {
    /// `ID IP:PORT@BUS[,HOST] FLAGS PRIMARY PING PONG EPOCH LINK SLOTS…`
    fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, _) = fields.get(1)?.split_once('@')?;
        let (_, port) = address.rsplit_once(':')?;
        let flags: Vec<&str> = fields.get(2)?.split(',').collect();
        let has = |flag| flags.contains(&flag);
        Some(Self {
            id: (*fields.first()?).to_owned(),
            port: port.parse().ok()?,
            is_primary: has("master"),
            primary: fields.get(3).filter(|id| **id != "-").map(|id| (*id).to_owned()),
            is_known: !["handshake", "noaddr", "fail", "fail?"].into_iter().any(has),
            is_connected: fields.get(7) == Some(&"connected"),
            slots: fields.iter().skip(8).filter_map(|field| slots(field)).collect(),
        })
    }
}

/// `7` or `0-5460`; one that is on its way, in brackets, is told apart.
fn slots(field: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = field.split_once('-').unwrap_or((field, field));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let answer = "\
aa 127.0.0.1:7001@17001,host myself,master - 0 0 1 connected 0-99 101 [7->-bb] [8-<-bb]
bb 127.0.0.1:7002@17002 master,fail? - 1 2 3 disconnected 100
cc 127.0.0.1:7003@17003 slave aa 0 0 1 connected
dd :0@0 handshake - 0 0 0 disconnected
nonsense";
        let topology = Topology::read(answer);
        let ports: Vec<u16> = topology.members.iter().map(|member| member.port).collect();
        assert_eq!(ports, [7001, 7002, 7003, 0]);
        let known: Vec<bool> = topology.members.iter().map(|member| member.is_known).collect();
        assert_eq!(known, [true, false, true, false]);
        assert_eq!(topology.members[0].slots, [0..=99, 101..=101]);
        assert!(topology.members[0].is_connected && !topology.members[1].is_connected);
        assert!(topology.members[0].is_primary && !topology.members[2].is_primary);
        assert_eq!(topology.members[2].primary.as_deref(), Some("aa"));
        assert_eq!(topology.owner(100).map(|member| member.port), Some(7002));
        assert_eq!(topology.owner(102), None);
        assert_eq!(topology.of_port(7003).map(|member| &*member.id), Some("cc"));
    }
}
