//! What each part of memory may hold, in words, and what leaves when it is full.

use std::fmt;

use larder_memory::Candidates;

use super::super::value::size_text;
use super::super::{Config, MemoryConfig};
use super::show;

pub(super) fn write(config: &Config, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "memory: {}", size_text(config.memory_bytes))?;
    if let Some(shared) = &config.common {
        write_part("the caches that share it", shared, out)?;
    }
    for cache in &config.caches {
        if let Some(own) = &cache.memory {
            write_part(&format!("the cache {}", cache.name), own, out)?;
        }
    }
    for edge in &config.edges {
        writeln!(out, "  {} for the edge {}", size_text(edge.memory), edge.name)?;
    }
    match &config.plain {
        Some(plain) => write_part("keys of no cache", plain, out),
        None => Ok(()),
    }
}

fn write_part(whose: &str, part: &MemoryConfig, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let leaves = match part.candidates {
        Candidates::All => "what is evicted",
        Candidates::Expiring => "which of those with an expiry are evicted; the others stay",
    };
    writeln!(out, "  {} for {whose}; {} decides {leaves}", size_text(part.bytes), part.policy)?;
    match part.idle_for {
        None => Ok(()),
        Some(idle_for) => {
            writeln!(out, "    what nobody has read for {} is forgotten", show(idle_for))
        }
    }
}
