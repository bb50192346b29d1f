//! `[source.NAME.debezium]`: where Debezium's records come from.

use super::super::debezium::{Beats, RecordsUrl};
use super::super::value::{Line, List};
use super::{Default, Heads, Opt, Section};

/// So many topics, streams or subjects may be named.
const TOPICS_MAX: u32 = 256;

pub(in super::super) static SECTION: Section = Section {
    name: "debezium",
    heads: Heads::Within("source"),
    about: "Where the records of Debezium come from, with `feed = \"debezium\"`. See \
            [feeds](concepts/feeds.md).",
    options: &[&FROM.about, &TOPICS.about, &HEARTBEAT.about, &IN_TRANSACTIONS.about],
};

pub(in super::super) static FROM: Opt<RecordsUrl> = Opt::new(
    "from",
    Default::Required,
    "`kafka://HOST:PORT,HOST:PORT`; `redis://HOST:PORT`, in whose streams Debezium Server writes; \
     `nats://USER:PASSWORD@HOST:PORT`, or `tls://…`, where it publishes into a stream of JetStream; \
     or `http`, to which it posts: to `/feed/NAME` of the admin listener, NAME being the source's.",
)
.elsewhere(&["url", "brokers", "bootstrap_servers"]);

pub(in super::super) static TOPICS: Opt<List<Line, TOPICS_MAX>> = Opt::new(
    "topics",
    Default::Words("must be given, but for `http`"),
    "The topics, streams or subjects of the tables that caches read, and of the heartbeat. At most \
     256.",
)
.elsewhere(&["streams", "subjects"]);

pub(in super::super) static HEARTBEAT: Opt<Beats> = Opt::new(
    "heartbeat",
    Default::Words("`messages` for a Postgres, otherwise `none`"),
    "What larder commits in the database to see how far Debezium is. `messages`: logical messages \
     of Postgres. `table`: the one row of the table `larder_heartbeat (id int PRIMARY KEY, beat \
     text)`, which Debezium must follow. `none`: nothing, and then `max_staleness` bounds the age \
     of what is held.",
);

pub(in super::super) static IN_TRANSACTIONS: Opt<bool> = Opt::new(
    "in_transactions",
    Default::Value("false"),
    "Whether Debezium writes to Kafka in transactions (`exactly.once.source.support`). Without \
     them nobody knows how far several partitions are, so let there be one.",
);
