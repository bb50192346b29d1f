//! A file of keys, line by line, whatever its lines are.

use std::io::{self, BufRead, Read};

use larder_core::key::KEY_BYTES_MAX;
use larder_core::{Key, KeyTemplate};

/// Shows each line that is a key of `template` to `take`, until that returns false. Other lines
/// are left out, however long they are: no more than the longest key is held.
pub(super) fn keys(
    mut file: impl BufRead,
    template: &KeyTemplate,
    mut take: impl FnMut(Key) -> bool,
) -> io::Result<()> {
    // A line break, a carriage return before it, and one byte to know that there is more.
    const MOST: u64 = KEY_BYTES_MAX as u64 + 3;
    let mut line = Vec::new();
    loop {
        line.clear();
        if file.by_ref().take(MOST).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 == MOST {
            line.clear();
            file.skip_until(b'\n')?;
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        if template.matches(text).is_ok() && !take(Key::from(text)) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_left_out_and_an_endless_line_is_not_held() {
        let template = KeyTemplate::parse("user:{name:text}").unwrap();
        let (longest, longer) = ("x".repeat(KEY_BYTES_MAX - 5), "x".repeat(KEY_BYTES_MAX - 4));
        let endless = "x".repeat(100_000);
        let text = format!(
            "user:a\nuser:b\r\n\nitem:7\nuser:{endless}\nuser:{longer}\nuser:{longest}\r\nuser:c"
        );
        let bytes = [b"user:\xff\n", text.as_bytes()].concat();
        let mut found = Vec::new();
        keys(&bytes[..], &template, |key| {
            found.push(key);
            true
        })
        .unwrap();
        let expected = ["user:a", "user:b", &format!("user:{longest}"), "user:c"];
        assert_eq!(found, expected.map(Key::from));
        found.clear();
        keys(&bytes[..], &template, |key| {
            found.push(key);
            false
        })
        .unwrap();
        assert_eq!(found, [Key::from("user:a")]);
    }
}
