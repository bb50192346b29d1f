//! `[edge.NAME.webhook]`: who else is told of what is purged.

use super::super::edge_webhook::WebhookUrl;
use super::super::secret::Token;
use super::super::value::{Count, Timeout};
use super::{Default, Heads, Opt, Section};

pub(in super::super) static SECTION: Section = Section {
    name: "webhook",
    heads: Heads::Within("edge"),
    about: "Who else is told of what is purged here: a CDN in front, by its own API or something \
            small that speaks it. Each purge is posted as JSON \
            ([the edge](guides/edge.md#a-cdn-in-front) has its form), until it is answered 2xx.",
    options: &[&URL.about, &TOKEN.about, &TIMEOUT.about, &ATTEMPTS_MAX.about, &QUEUE_MAX.about],
};

pub(in super::super) static URL: Opt<WebhookUrl> =
    Opt::new("url", Default::Required, "Where it is posted: `http://` or `https://`.")
        .elsewhere(&["endpoint"]);

pub(in super::super) static TOKEN: Opt<Token> =
    Opt::new("token", Default::Words("none"), "What is sent as `Authorization: Bearer`.");

pub(in super::super) static TIMEOUT: Opt<Timeout> =
    Opt::new("timeout", Default::Value("5s"), "How long one attempt may take.");

pub(in super::super) static ATTEMPTS_MAX: Opt<Count<1, 1_000>> = Opt::new(
    "attempts_max",
    Default::Value("10"),
    "How often it is tried, with longer and longer pauses, from 100ms up to 30s; then it is given \
     up, logged and counted.",
)
.elsewhere(&["retries"]);

pub(in super::super) static QUEUE_MAX: Opt<Count<1, 100_000>> = Opt::new(
    "queue_max",
    Default::Value("1000"),
    "How many purges wait to be told. With one more all that wait become one purge of everything.",
)
.elsewhere(&["queue"]);
