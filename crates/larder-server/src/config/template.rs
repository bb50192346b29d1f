//! Kinds of values that other crates define: key templates, rows and formats.

use larder_core::KeyTemplate;
use larder_sql::{Format, Rows};

use super::value::{Fault, OptionValue};

impl OptionValue for KeyTemplate {
    const WHAT: &'static str = "a key template";

    fn from_text(text: &str) -> Result<Self, Fault> {
        Self::parse(text).map_err(|error| {
            Fault::new(
                format!("is refused: {error}"),
                "a key looks like \"user:{id:int}\": a name of its own, then typed parameters",
            )
        })
    }
}

impl OptionValue for Rows {
    const WHAT: &'static str = "`\"one\"` or `\"many\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "one" => Ok(Self::One),
            "many" => Ok(Self::Many),
            _ => Err(Fault::new("must be \"one\" or \"many\"", "write one of them")),
        }
    }
}

impl OptionValue for Format {
    const WHAT: &'static str = "`\"raw\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "raw" => Ok(Self::Raw),
            _ => Err(Fault::new(
                "must be \"raw\"",
                "leave it out for JSON; with \"raw\" let the statement return one column",
            )),
        }
    }
}
