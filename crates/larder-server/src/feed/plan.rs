//! The plan of a feed: which tables are followed, and what a change of each touches in each cache.
//!
//! Only the database knows what a load reads, so it is asked.

use larder_core::change::Table;
use larder_core::template::{Parameter, TagTemplate};
use larder_core::{Error, ErrorKind, KeyTemplate, Result};
use larder_feed::debezium::http::HttpIntake;
use larder_sql::{Database, Load, Reads, SqlSource};

use super::followed::{Followed, Standing, name};
use super::route::{CacheRoute, Rule, Touches};
use crate::config::{CacheConfig, FeedConfig, Invalidate, SourceConfig};

/// A cache that a feed covers.
#[derive(Clone, Debug)]
pub(super) struct Covered {
    name: String,
    key: KeyTemplate,
    load: Load,
    invalidate: Vec<Invalidate>,
    pub(super) route: CacheRoute,
}

impl Covered {
    pub(super) fn new(cache: &CacheConfig) -> Self {
        Self {
            name: cache.name.clone(),
            key: cache.key.clone(),
            load: cache.load(),
            invalidate: cache.invalidate.clone(),
            route: CacheRoute::new(cache.key.clone()),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is(&self, cache: &CacheConfig) -> bool {
        self.name == cache.name
    }
}

/// What a database said of what the caches read.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) followed: Followed,
    /// What each cache is covered by, in the order of the caches.
    rules: Vec<Vec<Rule>>,
    told: Vec<Told>,
    /// What should be done about the feed itself.
    warnings: Vec<String>,
}

/// What is to be said of a cache that a feed covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its name.
    pub cache: String,
    /// What changes touch, in words.
    pub routes: Vec<String>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Asks `database` what the loads read, and how those tables stand.
    ///
    /// # Errors
    ///
    /// `Config`, with what to do, when a load can't be covered or a table can't be followed.
    pub(super) async fn make(
        feed: &FeedConfig,
        source: &SourceConfig,
        database: &Database,
        covered: &[Covered],
        intake: &HttpIntake,
    ) -> Result<Self> {
        let mut tables = Tables::default();
        let mut asked = Vec::new();
        for cache in covered {
            let load = SqlSource::new(database, cache.load.clone())?;
            let reads = load.reads().await.map_err(|error| {
                // What is refused now is refused always.
                let kind = match error.kind() {
                    ErrorKind::Refused => ErrorKind::Config,
                    kind => kind,
                };
                let message = format!("no feed covers [cache.{}]", cache.name);
                Error::new(kind, message).caused_by(error)
            })?;
            asked.push(reads);
        }
        // Each table has one name, however often and however it was written.
        let known: Vec<&Table> = asked.iter().flat_map(|reads| &reads.tables).collect();
        let named = |rule: &Invalidate| {
            let is =
                |table: &&&Table| *rule.table == *table.name || rule.table == table.to_string();
            let table = known.iter().find(is);
            table.map_or_else(|| rule.table.clone(), |table| name(feed.kind, database, table))
        };
        let of_each = asked.iter().zip(covered).map(|(reads, cache)| {
            let read = reads.tables.iter().map(|table| tables.of(name(feed.kind, database, table)));
            let read: Vec<usize> = read.collect();
            let ruled = cache.invalidate.iter().map(|rule| tables.of(named(rule)));
            (read, ruled.collect::<Vec<usize>>())
        });
        let of_each: Vec<_> = of_each.collect();
        let followed = Followed::new(feed, (source.url.expose(), database), &tables.0, intake)?;
        let standing = followed.standing().await?;
        if standing.len() != tables.0.len() {
            let message = "a table is named in two ways in `invalidate`: write it in one";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let warnings = followed.warnings().await?;
        let mut plan = Self { followed, rules: Vec::new(), told: Vec::new(), warnings };
        for ((cache, reads), (read, ruled)) in covered.iter().zip(&asked).zip(of_each) {
            let given: Vec<(&Standing, &Invalidate)> =
                ruled.iter().map(|at| &standing[*at]).zip(&cache.invalidate).collect();
            let read: Vec<&Standing> = read.iter().map(|at| &standing[*at]).collect();
            plan.cover(cache, reads, &read, &given)?;
        }
        Ok(plan)
    }

    /// Finds what touches one cache.
    fn cover(
        &mut self,
        cache: &Covered,
        reads: &Reads,
        read: &[&Standing],
        given: &[(&Standing, &Invalidate)],
    ) -> Result<()> {
        let mut told = Told { cache: cache.name.clone(), routes: Vec::new(), warnings: Vec::new() };
        let mut rules = Vec::new();
        for (standing, invalidate) in given {
            let Invalidate { columns, tags, .. } = invalidate;
            let named = Touches::Named { columns: columns.clone(), tags: tags.clone() };
            self.check_told(cache, standing, &named)?;
            told.warnings.extend(folded(standing, columns.as_deref().unwrap_or_default()));
            rules.push(Rule { table: standing.table.clone(), touches: named });
        }
        for standing in read {
            if rules.iter().any(|rule| rule.table == standing.table) {
                continue;
            }
            let touches = match derived(cache, reads, &standing.table) {
                Ok(columns) => {
                    let named = Touches::Named { columns: Some(columns), tags: Vec::new() };
                    self.check_told(cache, standing, &named)?;
                    named
                }
                Err(why) => {
                    told.warnings.push(format!(
                        "any change of {} drops everything that {} holds, because its load {why}: \
                         say what it touches in [[cache.{}.invalidate]]",
                        standing.table, cache.name, cache.name
                    ));
                    Touches::Everything
                }
            };
            rules.push(Rule { table: standing.table.clone(), touches });
        }
        told.routes = rules.iter().map(|rule| in_words(&cache.key, rule)).collect();
        self.rules.push(rules);
        self.told.push(told);
        Ok(())
    }

    /// Whether a change says what the columns were before.
    fn check_told(&self, cache: &Covered, standing: &Standing, touches: &Touches) -> Result<()> {
        let Touches::Named { columns, tags } = touches else { return Ok(()) };
        let named = tags.iter().flat_map(TagTemplate::names);
        let mut all = columns.iter().flatten().map(String::as_str).chain(named);
        let Some(identity) = &standing.identity else { return Ok(()) };
        let untold = all.find(|column| identity.iter().all(|known| known != column));
        let Some(column) = untold else { return Ok(()) };
        let (table, name) = (&standing.table, &cache.name);
        let cure = self.followed.cure(table);
        let message = format!(
            "what [cache.{name}] holds of {table} is found by {column}, and a change doesn't say \
             what that was before, so nobody would know which entry the row has left: {cure}"
        );
        Err(Error::new(ErrorKind::Config, message))
    }

    /// Tells the routes.
    pub(super) fn set_routes(&self, covered: &[Covered]) {
        for (cache, rules) in covered.iter().zip(&self.rules) {
            cache.route.set(rules.clone());
        }
    }

    /// Whether changes touch the same as by the other one.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.rules == other.rules
    }

    pub(super) fn told(&self) -> &[Told] {
        &self.told
    }

    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Each table once, as SQL names it.
#[derive(Default)]
struct Tables(Vec<String>);

impl Tables {
    fn of(&mut self, name: String) -> usize {
        let found = self.0.iter().position(|known| *known == name);
        found.unwrap_or_else(|| {
            self.0.push(name);
            self.0.len() - 1
        })
    }
}

/// The columns of `table` that stand in the key where it has its parameters; otherwise why that
/// isn't known.
fn derived(cache: &Covered, reads: &Reads, table: &Table) -> Result<Vec<String>, String> {
    let row = reads.row.as_ref().filter(|row| row.table == *table);
    let Some(row) = row else {
        let why = "doesn't find it by the key alone".to_owned();
        return Err(reads.why_not.clone().unwrap_or(why));
    };
    let column = |parameter: &Parameter| {
        let found = row.columns.iter().find(|(name, _)| **name == *parameter.name);
        found
            .map(|(_, column)| column.to_string())
            .ok_or_else(|| format!("has no condition for the {} of the key", parameter.name))
    };
    cache.key.parameters().iter().map(column).collect()
}

/// What is to be said of columns whose text stands for several keys.
fn folded(standing: &Standing, columns: &[String]) -> Option<String> {
    let column = columns.iter().find(|column| standing.folded.contains(column))?;
    Some(format!(
        "{} = {column} is true of several texts, upper and lower case among them, and a change \
         touches the key of the one that is stored: give the column a binary collation",
        standing.table
    ))
}

/// What a rule means, for people.
fn in_words(key: &KeyTemplate, rule: &Rule) -> String {
    let Rule { table, touches } = rule;
    let Touches::Named { columns, tags } = touches else {
        return format!("a change of {table} drops everything");
    };
    let key = columns.as_ref().map(|columns| {
        let named = key.parameters().iter().zip(columns);
        let pairs = named.map(|(parameter, column)| format!("{} = {column}", parameter.name));
        let pairs: Vec<_> = pairs.collect();
        if pairs.is_empty() {
            key.text().to_owned()
        } else {
            format!("{} with {}", key.text(), pairs.join(", "))
        }
    });
    let tags = tags.iter().map(|tag| format!("the tag {tag}"));
    let touched: Vec<_> = key.into_iter().chain(tags).collect();
    if touched.is_empty() {
        return format!("a change of {table} touches nothing");
    }
    format!("a change of {table} touches {}", touched.join(" and "))
}
