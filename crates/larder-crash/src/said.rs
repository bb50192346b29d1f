//! What all processes said together, and what must be in the database then.

use std::collections::HashMap;

use crate::child::{BAD_FROM, COUNTERS, STORED, WRITERS};
use crate::database::TestDatabase;

/// What was said by all processes of one database.
#[derive(Debug, Default)]
pub struct Said {
    put: HashMap<u64, u64>,
    /// The last that was acknowledged, and the last that was sent.
    stored: HashMap<u64, u64>,
    storing: HashMap<u64, u64>,
    added: HashMap<u64, i64>,
    adding: HashMap<u64, i64>,
    bad: HashMap<u64, u64>,
    /// What was seen in the database, by key: it never goes back.
    seen: HashMap<u64, u64>,
    /// How many writes were acknowledged.
    pub acknowledged: u64,
    /// How many records the starts found.
    pub replayed: u64,
    /// How many of them had been applied.
    pub before: u64,
    /// Who the last process was.
    pub owner: String,
    /// How many were left at the last stop, and how many milliseconds the oldest waited.
    pub stopped: Option<(u64, u64)>,
}

impl Said {
    /// Takes what a process says.
    pub fn hear(&mut self, words: &[String]) {
        let [what, first, rest @ ..] = words else { panic!("{words:?}") };
        if what == "owner" {
            return self.owner.clone_from(first);
        }
        let (first, second) = (first.parse().unwrap(), rest[0].parse().unwrap());
        let difference = i64::try_from(second).unwrap();
        match &**what {
            "put" => drop(self.put.insert(first, second)),
            "storing" => drop(self.storing.insert(first, second)),
            "stored" => drop(self.stored.insert(first, second)),
            "adding" => *self.adding.entry(first).or_default() += difference,
            "added" => *self.added.entry(first).or_default() += difference,
            "bad" => drop(self.bad.insert(first, second)),
            "replayed" => {
                self.replayed += first;
                self.before += second;
            }
            "stopped" => self.stopped = Some((first, second)),
            _ => panic!("{words:?}"),
        }
        self.acknowledged += u64::from(["put", "stored", "added", "bad"].contains(&&**what));
    }

    /// How many acknowledged writes the database refused.
    #[must_use]
    pub fn bad(&self) -> usize {
        self.bad.len()
    }

    /// Looks at the keys that are written again and again: what they hold never goes back. It may
    /// be asked at any time.
    #[must_use]
    pub async fn look(&mut self, database: &TestDatabase) -> Vec<String> {
        let mut wrong = Vec::new();
        let last = WRITERS * STORED;
        for row in database.sql(&format!("SELECT id, body FROM items WHERE id < {last}")).await {
            let (id, number): (u64, u64) = (row[0].parse().unwrap(), row[1].parse().unwrap());
            let seen = self.seen.entry(id).or_default();
            if number < *seen {
                wrong.push(format!("the item {id} went back from {seen} to {number}"));
            }
            *seen = number.max(*seen);
        }
        wrong
    }

    /// What is wrong in the database, in which everything must be applied by now: one line for each
    /// key of which an acknowledged write is lost, applied twice or out of its order.
    #[must_use]
    pub async fn compare(&mut self, database: &TestDatabase) -> Vec<String> {
        let mut wrong = self.look(database).await;
        let items = database.sql("SELECT id, body FROM items").await;
        let items: HashMap<u64, u64> =
            items.iter().map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap())).collect();
        for (id, number) in &self.put {
            if items.get(id) != Some(number) {
                wrong.push(format!("the item {id} must be {number}: {:?}", items.get(id)));
            }
        }
        for (id, last) in &self.stored {
            let (held, sent) = (items.get(id).copied().unwrap_or_default(), self.storing[id]);
            if !(*last..=sent).contains(&held) {
                wrong.push(format!("the item {id} is {held}, but {last} was acknowledged"));
            }
        }
        let counters = database.sql("SELECT id, n FROM counters").await;
        let counters: HashMap<u64, i64> =
            counters.iter().map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap())).collect();
        for id in 0..COUNTERS {
            let of = |sums: &HashMap<u64, i64>| sums.get(&id).copied().unwrap_or_default();
            let (held, bounds) = (of(&counters), of(&self.added)..=of(&self.adding));
            if !bounds.contains(&held) {
                wrong.push(format!("the counter {id} is {held}, and not in {bounds:?}"));
            }
        }
        let letters = database.sql("SELECT key, cache, reason FROM larder_dead_letters").await;
        let mut dead: HashMap<u64, u64> = HashMap::new();
        for row in &letters {
            if row[1] != "item" || row[2].is_empty() {
                wrong.push(format!("an odd letter: {row:?}"));
            }
            *dead.entry(row[0].strip_prefix("item:").unwrap().parse().unwrap()).or_default() += 1;
        }
        for (id, letters) in &dead {
            if *letters != 1 || *id < BAD_FROM {
                wrong.push(format!("the item {id} has {letters} letters"));
            }
        }
        for id in self.bad.keys() {
            if !dead.contains_key(id) || items.contains_key(id) {
                wrong.push(format!("the bad item {id} must be among the letters"));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(said: &[&str], sql: &str, wrong: &[&str]) {
        let database = TestDatabase::sqlite().await;
        database.sql("CREATE TABLE larder_dead_letters (key text, cache text, reason text)").await;
        database.sql(sql).await;
        let mut heard = Said::default();
        for line in said {
            heard.hear(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        }
        assert_eq!(heard.compare(&database).await, wrong, "{said:?} over {sql}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_lost_or_counted_twice_is_named() {
        let put = ["put 5000 7"];
        check(&put, "INSERT INTO items VALUES (5000, '7')", &[]).await;
        check(&put, "SELECT 1", &["the item 5000 must be 7: None"]).await;
        let added = ["adding 1 2", "added 1 2", "adding 1 3"];
        check(&added, "INSERT INTO counters VALUES (1, 5)", &[]).await;
        let wrong = ["the counter 1 is 7, and not in 2..=5"];
        check(&added, "INSERT INTO counters VALUES (1, 7)", &wrong).await;
        let wrong = ["the counter 1 is 0, and not in 2..=5"];
        check(&added, "SELECT 1", &wrong).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_older_value_than_was_acknowledged_is_named() {
        let stored = ["storing 3 8", "stored 3 8", "storing 3 9"];
        check(&stored, "INSERT INTO items VALUES (3, '9')", &[]).await;
        let wrong = ["the item 3 is 7, but 8 was acknowledged"];
        check(&stored, "INSERT INTO items VALUES (3, '7')", &wrong).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_refused_write_has_one_letter() {
        let id = BAD_FROM + 1;
        let bad = [&*format!("bad {id} 4")];
        let letter = format!("INSERT INTO larder_dead_letters VALUES ('item:{id}', 'item', 'bad')");
        check(&bad, &letter, &[]).await;
        let missing = format!("the bad item {id} must be among the letters");
        check(&bad, "SELECT 1", &[&missing]).await;
        let twice = format!("the item {id} has 2 letters");
        check(&bad, &format!("{letter}; {letter}"), &[&twice]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_goes_back_is_named_even_if_it_was_never_acknowledged() {
        let database = TestDatabase::sqlite().await;
        let mut said = Said::default();
        database.sql("INSERT INTO items VALUES (3, '9')").await;
        assert!(said.look(&database).await.is_empty());
        database.sql("UPDATE items SET body = '8' WHERE id = 3").await;
        assert_eq!(said.look(&database).await, ["the item 3 went back from 9 to 8"]);
    }
}
