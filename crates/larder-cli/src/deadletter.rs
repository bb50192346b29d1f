//! `larder deadletter list|show|requeue|drop FILE`: writes that a database refused for good.
//!
//! It needs no server: what is asked for stands in the database, and who owns the cache finds it
//! there.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use larder_server::config::Config;
use larder_sql::{DeadLetters, LETTERS_MAX, LetterPage, ShownLetter};
use serde_json::{Value, json};

use crate::check::{read, tell};
use crate::output::{columns, cut, lines, print, short};
use crate::sources::{Opened, all_of, block_on, of_cache, one_of};

/// What `deadletter` is told on the command line.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List dead letters in the order in which they were refused first
    List {
        #[command(flatten)]
        place: Place,
        /// Only those of this cache
        #[arg(long, value_name = "NAME")]
        cache: Option<String>,
        /// Only those with a greater number
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: u64,
        /// So many at most, up to 1000
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Show all of a dead letter
    Show {
        #[command(flatten)]
        place: Place,
        /// Its number
        id: NonZeroU64,
    },
    /// Let dead letters be tried again by who owns their cache
    Requeue {
        #[command(flatten)]
        place: Place,
        /// Their numbers
        #[arg(required_unless_present = "cache")]
        ids: Vec<NonZeroU64>,
        /// All of this cache
        #[arg(long, value_name = "NAME", conflicts_with = "ids")]
        cache: Option<String>,
    },
    /// Give dead letters up: they are deleted, and shown for the last time
    Drop {
        #[command(flatten)]
        place: Place,
        /// Their numbers
        #[arg(required = true)]
        ids: Vec<NonZeroU64>,
    },
}

/// Which database, and how it is said.
#[derive(Debug, Args)]
struct Place {
    /// The configuration file
    file: PathBuf,
    /// The source [default: that of the cache, or of caches that are written behind]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// A JSON object for each letter, on a line of its own
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (Action::List { place, .. }
    | Action::Show { place, .. }
    | Action::Requeue { place, .. }
    | Action::Drop { place, .. }) = &arguments.action;
    match read(&place.file) {
        Ok(config) => block_on(act(&config, place, &arguments.action))
            .unwrap_or_else(|message| tell(&message)),
        Err(code) => code,
    }
}

async fn act(config: &Config, place: &Place, action: &Action) -> Result<ExitCode, String> {
    let source = place.source.as_deref();
    let letters = |opened: &Opened<'_>| DeadLetters::of(&opened.database);
    match action {
        Action::List { cache, after, limit, .. } => {
            let sources = match cache {
                Some(cache) => vec![of_cache(config, cache, source)?],
                None if *after > 0 => vec![one_of(config, source)?],
                None => all_of(config, source)?,
            };
            let page = LetterPage { cache: cache.clone(), after: *after, limit: (*limit).into() };
            list(&sources, &page, place.json).await
        }
        Action::Show { id, .. } => {
            let opened = one_of(config, source)?;
            let letter = letters(&opened).show(id.get()).await.map_err(|error| error.chain())?;
            let letter = letter.ok_or_else(|| gone(*id))?;
            print(&if place.json { lines([as_json(&letter)]) } else { as_text(&letter) });
            Ok(ExitCode::SUCCESS)
        }
        Action::Requeue { cache: Some(cache), .. } => {
            let opened = of_cache(config, cache, source)?;
            requeue_all(&letters(&opened), cache, place.json).await
        }
        Action::Requeue { ids, .. } => {
            let opened = one_of(config, source)?;
            let letters = letters(&opened);
            let mut code = ExitCode::SUCCESS;
            for &id in ids {
                if letters.requeue(id.get()).await.map_err(|error| error.chain())? {
                    print(&requeued(id.get(), place.json));
                } else {
                    code = tell(&gone(id));
                }
            }
            Ok(code)
        }
        Action::Drop { ids, .. } => {
            let opened = one_of(config, source)?;
            let letters = letters(&opened);
            let mut code = ExitCode::SUCCESS;
            for &id in ids {
                match letters.drop(id.get()).await.map_err(|error| error.chain())? {
                    Some(letter) if place.json => print(&lines([as_json(&letter)])),
                    Some(letter) => print(&dropped(&letter)),
                    None => code = tell(&gone(id)),
                }
            }
            Ok(code)
        }
    }
}

async fn list(
    sources: &[Opened<'_>],
    page: &LetterPage,
    is_json: bool,
) -> Result<ExitCode, String> {
    for source in sources {
        let listed = DeadLetters::of(&source.database).list(page).await;
        let listed = listed.map_err(|error| error.chain())?;
        if is_json {
            let of_source = |letter: &ShownLetter| {
                let mut object = as_json(letter);
                object["source"] = source.config.name.clone().into();
                object
            };
            print(&lines(listed.iter().map(of_source)));
        } else {
            print(&format!("source {}: {}\n", source.config.name, count(listed.len())));
            if !listed.is_empty() {
                let head = ["id", "at", "cache", "key", "verb", "what", "requeued", "reason"];
                print(&columns(&head, &listed.iter().map(row).collect::<Vec<_>>()));
            }
        }
        if let Some(last) = listed.last().filter(|_| listed.len() == page.limit) {
            let name = &source.config.name;
            eprintln!("larder: there may be more: --source {name} --after {}", last.id);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn count(letters: usize) -> String {
    match letters {
        0 => "no dead letters".to_owned(),
        1 => "1 dead letter".to_owned(),
        more => format!("{more} dead letters"),
    }
}

fn row(letter: &ShownLetter) -> Vec<String> {
    vec![
        letter.id.to_string(),
        letter.at.clone(),
        short(&letter.cache, 24),
        short(&letter.key, 40),
        letter.verb.clone(),
        what(letter, 32),
        (if letter.is_requeued { "yes" } else { "" }).to_owned(),
        short(&letter.reason, 100),
    ]
}

/// What was to be written, without its verb.
fn what(letter: &ShownLetter, characters_max: usize) -> String {
    match (&letter.value, letter.delta) {
        (Some(value), _) => cut(value, characters_max),
        (None, Some(delta)) => format!("{delta:+}"),
        (None, None) => String::new(),
    }
}

fn as_json(letter: &ShownLetter) -> Value {
    let value = letter.value.as_ref();
    json!({
        "id": letter.id,
        "cache": letter.cache,
        "key": letter.key,
        "verb": letter.verb,
        "value": value.map(|value| &value.text),
        "value_escaped": value.map(|value| value.is_escaped),
        "value_bytes": value.map(|value| value.bytes),
        "value_cut": value.map(larder_sql::ShownValue::is_cut),
        "delta": letter.delta,
        "epoch": letter.epoch,
        "number": letter.number,
        "reason": letter.reason,
        "at": letter.at,
        "requeued": letter.is_requeued,
    })
}

fn as_text(letter: &ShownLetter) -> String {
    let requeued = if letter.is_requeued { "yes, and not applied yet" } else { "no" };
    let what = match (&letter.value, letter.delta) {
        (Some(value), _) if value.is_escaped => format!("value     {value} (escaped)\n"),
        (Some(value), _) => format!("value     {value}\n"),
        (None, Some(delta)) => format!("delta     {delta:+}\n"),
        (None, None) => String::new(),
    };
    format!(
        "id        {}\ncache     {}\nkey       {}\nverb      {}\n{what}epoch     {}\nnumber    {}\n\
         refused   {}\nreason    {}\nrequeued  {requeued}\n",
        letter.id,
        short(&letter.cache, 1_024),
        short(&letter.key, 4_096),
        letter.verb,
        letter.epoch,
        letter.number,
        letter.at,
        short(&letter.reason, 4_096),
    )
}

async fn requeue_all(
    letters: &DeadLetters,
    cache: &str,
    is_json: bool,
) -> Result<ExitCode, String> {
    let mut page = LetterPage { limit: LETTERS_MAX, ..LetterPage::of_cache(cache) };
    let mut all = 0;
    loop {
        let ids = letters.requeue_page(&page).await.map_err(|error| error.chain())?;
        all += ids.len();
        if is_json {
            print(&ids.iter().map(|&id| requeued(id, true)).collect::<String>());
        }
        match ids.last() {
            // Behind it, so that one that is refused again meanwhile isn't tried for ever.
            Some(&last) if ids.len() == LETTERS_MAX => page.after = last,
            _ => break,
        }
    }
    if !is_json {
        print(&format!("cache {}: {} requeued\n", short(cache, 48), count(all)));
    }
    Ok(ExitCode::SUCCESS)
}

fn requeued(id: u64, is_json: bool) -> String {
    if is_json {
        return lines([json!({ "id": id, "requeued": true })]);
    }
    format!("letter {id} is requeued: who owns its cache tries it again\n")
}

fn dropped(letter: &ShownLetter) -> String {
    let mut text = format!(
        "letter {} is dropped: {} {} of the cache {}",
        letter.id,
        letter.verb,
        short(&letter.key, 256),
        short(&letter.cache, 48)
    );
    let what = what(letter, 1_024);
    if !what.is_empty() {
        text.push_str(&format!(", {what}"));
    }
    if letter.is_requeued {
        text.push_str("; it was requeued, and nothing of it is written any more");
    }
    text + "\n"
}

fn gone(id: NonZeroU64) -> String {
    format!("there is no letter {id}: it was never there, was applied, or was dropped")
}
