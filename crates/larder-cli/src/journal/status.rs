//! How a journal stands, in words.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use humantime::{format_duration, format_rfc3339_seconds};
use larder_journal::{JournalStatus, JournalView, Oldest};
use serde_json::json;

use crate::output::{lines, print};

pub(super) fn run(view: &JournalView, is_json: bool) -> Result<ExitCode, String> {
    let status = view.status().map_err(|error| error.chain())?;
    print(&if is_json { as_json(&status) } else { as_text(&status, SystemTime::now()) });
    Ok(if status.damage.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_json(status: &JournalStatus) -> String {
    let time = |time: SystemTime| format_rfc3339_seconds(time).to_string();
    lines([json!({
        "id": status.id,
        "opened_by": status.opened_by,
        "pending": status.pending,
        "first": status.first,
        "next": status.next,
        "durable_below": status.durable_below,
        "segments": status.segments,
        "bytes": status.bytes,
        "tail_bytes": status.tail_bytes,
        "oldest_not_before": status.oldest.and_then(|oldest| oldest.not_before).map(time),
        "oldest_not_after": status.oldest.map(|oldest| time(oldest.not_after)),
        "damage": status.damage.as_ref().map(ToString::to_string),
    })])
}

fn as_text(status: &JournalStatus, now: SystemTime) -> String {
    let JournalStatus { id, opened_by, pending, first, next, .. } = status;
    let mut text = format!("journal   {id}, opened last by {opened_by}\n");
    let records = match pending {
        0 => "none wait".to_owned(),
        1 => format!("1 is there: {first}"),
        more => format!("{more} are there, from {first} to {}", next.saturating_sub(1)),
    };
    text.push_str(&format!("records   {records}\n"));
    if *pending > 0 {
        text.push_str("          some may be applied already, as it is cleared late\n");
    }
    text.push_str(&format!("next      {next}, durable below {} at least\n", status.durable_below));
    if let Some(oldest) = status.oldest {
        text.push_str(&format!("oldest    written {}\n", ago(oldest, now)));
        text.push_str("          by the times of its file: records carry none\n");
    }
    text.push_str(&format!("segments  {}, {} bytes\n", status.segments, status.bytes));
    if status.tail_bytes > 0 {
        text.push_str(&format!(
            "tail      {} bytes of a record that is being written, or was at the end of its \
             writer\n",
            status.tail_bytes
        ));
    }
    let damage = status.damage.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    text.push_str(&format!("damage    {damage}\n"));
    text
}

fn ago(oldest: Oldest, now: SystemTime) -> String {
    let age = |then: SystemTime| {
        let age = now.duration_since(then).unwrap_or_default();
        format_duration(Duration::from_secs(age.as_secs()))
    };
    match oldest.not_before {
        Some(not_before) => format!("{} to {} ago", age(oldest.not_after), age(not_before)),
        None => format!("{} ago or longer", age(oldest.not_after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_said_in_words() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100_000);
        let at = |seconds: u64| now - Duration::from_millis(seconds * 1_000 + 300);
        let status = JournalStatus {
            id: "00ff".to_owned(),
            opened_by: "process 7".to_owned(),
            pending: 3,
            first: 8,
            next: 11,
            durable_below: 10,
            segments: 2,
            bytes: 4_096,
            tail_bytes: 9,
            oldest: Some(Oldest { not_before: Some(at(7_200)), not_after: at(61) }),
            damage: None,
        };
        let text = as_text(&status, now);
        for line in [
            "journal   00ff, opened last by process 7",
            "records   3 are there, from 8 to 10",
            "next      11, durable below 10 at least",
            "oldest    written 1m 1s to 2h ago",
            "segments  2, 4096 bytes",
            "tail      9 bytes of a record",
            "damage    none",
        ] {
            assert!(text.lines().any(|found| found.starts_with(line)), "{line:?} in {text}");
        }
        let oldest = Some(Oldest { not_before: None, not_after: now + Duration::from_secs(9) });
        let empty = JournalStatus { pending: 0, first: 11, tail_bytes: 0, oldest, ..status };
        let text = as_text(&empty, now);
        assert!(text.contains("none wait") && text.contains("0s ago or longer"), "{text}");
        assert!(!text.contains("tail"), "{text}");
    }
}
