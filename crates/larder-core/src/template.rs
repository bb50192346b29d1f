//! Placeholder.

/// Placeholder.
#[derive(Debug)]
pub struct KeyTemplate;
