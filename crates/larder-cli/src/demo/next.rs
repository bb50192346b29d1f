//! What to try when the demo has ended.

use std::path::Path;

use super::CATEGORY;
use super::query::BESTSELLERS;

/// Three commands that work in this folder, for a program that was called by the name `larder`.
pub(super) fn commands(larder: &str, keep: Option<&Path>) -> [String; 3] {
    let read = format!("redis-cli -p 7379 GET {}:{CATEGORY}", BESTSELLERS.name);
    let Some(folder) = keep else {
        return [
            format!("{larder} demo --keep shop"),
            format!("{larder} serve shop/larder.toml"),
            read,
        ];
    };
    let config = shell_word(&folder.join("larder.toml").to_string_lossy());
    [format!("{larder} check {config}"), format!("{larder} serve {config}"), read]
}

/// `text` as a shell takes it for one word.
fn shell_word(text: &str) -> String {
    if text.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c)) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_to_try_name_what_is_there() {
        let read = "redis-cli -p 7379 GET bestsellers:7";
        for (keep, first, second) in [
            (None, "demo --keep shop", "serve shop/larder.toml"),
            (Some("a/b"), "check a/b/larder.toml", "serve a/b/larder.toml"),
            (Some("it's"), r"check 'it'\''s/larder.toml'", r"serve 'it'\''s/larder.toml'"),
        ] {
            let expected =
                [format!("./larder {first}"), format!("./larder {second}"), read.to_owned()];
            assert_eq!(commands("./larder", keep.map(Path::new)), expected);
        }
    }
}
