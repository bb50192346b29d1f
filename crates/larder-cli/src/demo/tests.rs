//! The whole story, on a shop small enough to be told in seconds.

use std::fs;

use clap::Parser;
use larder_core::{Key, LoadContext, Source};
use larder_server::{compose, config};
use tempfile::TempDir;

use super::*;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    demo: Arguments,
}

fn arguments(line: &str) -> Result<Arguments, clap::Error> {
    Ok(CommandLine::try_parse_from(line.split(' '))?.demo)
}

fn plan() -> Plan {
    Plan {
        size: Size { products: 500, categories: 10, users: 50, order_lines: 1_000 },
        clients: 3,
        time: Duration::from_millis(200),
        crowd: 50,
        patience: Duration::from_secs(60),
        progress: Progress::Lines,
        commands: commands("larder", None),
    }
}

async fn tell_story(place: &mut Place, plan: &Plan) -> String {
    let mut out = Vec::new();
    story(place, plan, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

/// The cells of the only table line that begins so after `heading`.
fn row<'a>(text: &'a str, heading: &str, name: &str) -> Vec<&'a str> {
    let (_, after) = text.split_once(heading).unwrap();
    let line = after.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
    line.trim_start()[name.len()..].split("  ").map(str::trim).filter(|c| !c.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_is_told_to_its_end() {
    let mut place = Place::temporary().unwrap();
    let text = tell_story(&mut place, &plan()).await;
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    for heading in ["\n2. ", "\n3. "] {
        let (straight, through) =
            (row(&text, heading, "straight"), row(&text, heading, "through larder"));
        assert_eq!((straight.len(), through.len()), (5, 5), "{text}");
        assert_eq!(straight[4], "-");
        assert!(through[4].ends_with(" %"), "{text}");
    }
    assert_eq!(text.matches("orth it: ").count(), 2, "{text}");
    // Everybody who goes straight asks the database; of those who go through larder, one.
    assert_eq!(row(&text, "\n4. ", "straight")[0], "50");
    assert_eq!(row(&text, "\n4. ", "through larder")[0], "1");
    assert!(text.contains("\n   larder demo --keep shop\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_shop_is_served_by_its_configuration() {
    let parent = TempDir::new().unwrap();
    // Everything that a URL would have to spell otherwise.
    let folder = parent.path().join("my shop?#%{$ü");
    let mut place = Place::kept(&folder).unwrap();
    tell_story(&mut place, &plan()).await;
    drop(place);

    let config = config::read(&folder.join("larder.toml")).unwrap();
    assert_eq!(config.warnings, []);
    let shop = compose::Source::open(&config.sources[0]).unwrap();
    for (cache, key, expected) in [
        (&config.caches[0], "product:42", "{\"id\":42,\"name\":\""),
        (&config.caches[1], "bestsellers:7", "[{\"id\":"),
    ] {
        let load = shop.load(cache).unwrap();
        assert_eq!(load.prepare().await.unwrap().warnings, []);
        let mut context = LoadContext::new(TIMEOUT);
        let value = load.load(&Key::from(key), &mut context).await.unwrap().unwrap();
        let json = String::from_utf8_lossy(&value.bytes);
        assert!(json.starts_with(expected), "{json}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_lead_to_the_same_answers() {
    let mut place = Place::temporary().unwrap();
    let plan = plan();
    let database = make_shop(&mut place, &plan, &mut Vec::new()).await.unwrap();
    for query in [&PRODUCT, &BESTSELLERS] {
        let source = Arc::new(query.to(&database).unwrap());
        let straight = Way::Straight(Arc::clone(&source));
        let through = Way::through(&source, query.name).unwrap();
        for id in 1..=plan.size.categories {
            let key = query.key_of(id).unwrap();
            let loaded = straight.read(&key).await.unwrap();
            assert_eq!(through.read(&key).await.unwrap(), loaded);
            assert_eq!(through.read(&key).await.unwrap(), loaded);
        }
        // Once straight, once by the cache's miss; the second read through it is a hit.
        assert_eq!(source.queries(), 2 * plan.size.categories as u64);
    }
    let nobody = PRODUCT.key_of(plan.size.products + 1).unwrap();
    let source = Arc::new(PRODUCT.to(&database).unwrap());
    assert!(Way::Straight(source).read(&nobody).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_out_of_patience_is_sent_away() {
    let mut place = Place::temporary().unwrap();
    let plan = Plan { patience: Duration::ZERO, ..plan() };
    let database = make_shop(&mut place, &plan, &mut Vec::new()).await.unwrap();
    let mut out = Vec::new();
    stampede(&database, &plan, &mut out).await.unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("were sent away after"), "{text}");
}

#[test]
fn arguments_out_of_bounds_are_refused() {
    for line in ["demo --seconds 0", "demo --clients 0", "demo --clients 1001", "demo --what"] {
        assert!(arguments(line).is_err(), "{line}");
    }
    let most = arguments("demo --clients 1000 --seconds 1").unwrap();
    assert_eq!((most.clients, most.seconds), (1000, 1));
}
