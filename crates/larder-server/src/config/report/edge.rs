//! What an edge stores and for how long, in words.

use std::fmt;

use super::super::value::size_text;
use super::super::{EdgeConfig, EdgeRule, Profile};
use super::show;

pub(super) fn write(edge: &EdgeConfig, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let reach = match (edge.listen.is_loopback(), edge.tls.is_some()) {
        (true, true) => "this machine only, with TLS",
        (true, false) => "this machine only",
        (false, true) => "other machines, with TLS",
        (false, false) => "other machines, no TLS",
    };
    writeln!(out, "edge {}: {} ({reach}), in front of {}", edge.name, edge.listen, edge.origin)?;
    match edge.profile {
        Profile::Safe => writeln!(
            out,
            "  what the origin gives a lifetime is stored for it; nothing that sets a cookie"
        )?,
        Profile::Conformance => writeln!(
            out,
            "  what the RFCs allow is stored, cookies included, and clients' Cache-Control is \
             obeyed: this is for test suites"
        )?,
    }
    match &edge.store {
        None => writeln!(
            out,
            "  bodies of at most {} are stored, in memory",
            size_text(edge.object_max)
        )?,
        Some(store) => writeln!(
            out,
            "  bodies of at most {} are stored, from {} on in {}, which takes at most {}",
            size_text(edge.object_max),
            size_text(store.from),
            store.folder.display(),
            size_text(store.bytes_max)
        )?,
    }
    if edge.stale_on_error.is_zero() {
        writeln!(out, "  while the origin is down nothing stale is sent unless it permits that")?;
    } else {
        writeln!(
            out,
            "  while the origin is down what is stale is sent for {} more, unless it forbids that",
            show(edge.stale_on_error)
        )?;
    }
    for rule in &edge.rules {
        write_rule(rule, out)?;
    }
    let purge = match (&edge.purge_token, edge.purge_from.as_slice()) {
        (None, []) => "by nobody".to_owned(),
        (Some(_), []) => "with a token".to_owned(),
        (token, from) => {
            let from: Vec<_> = from.iter().map(ToString::to_string).collect();
            let token = if token.is_some() { "with a token, or " } else { "" };
            format!("{token}from {}", from.join(", "))
        }
    };
    writeln!(out, "  PURGE is taken {purge}")?;
    if let Some(webhook) = &edge.webhook {
        writeln!(out, "  what is purged is told to {}", webhook.url)?;
    }
    Ok(())
}

fn write_rule(rule: &EdgeRule, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut said = Vec::new();
    if rule.bypass {
        said.push("past the cache".to_owned());
    }
    if let Some(edge) = rule.edge {
        said.push(format!("fresh here for {}", show(edge)));
    }
    for status in &rule.statuses {
        said.push(format!("{} fresh here for {}", status.status.as_u16(), show(status.fresh_for)));
    }
    if let Some(browser) = rule.browser {
        said.push(format!("in browsers for {}", show(browser)));
    }
    if rule.immutable {
        said.push("never asked for again meanwhile".to_owned());
    }
    if rule.overrides {
        said.push("although the origin forbids it".to_owned());
    }
    if rule.query.is_some() || !rule.query_ignored.is_empty() {
        said.push("not by all of its query".to_owned());
    }
    if said.is_empty() {
        said.push("as the origin says".to_owned());
    }
    let types = if rule.types.is_empty() { "" } else { ", of some types" };
    writeln!(out, "  {}{types}: {}", rule.path, said.join("; "))
}
