//! What stands in the brackets of `#[cached(…)]`.

use std::time::Duration;

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitInt, LitStr, Result, Token, Type, parenthesized};

use crate::nearest::nearest;
use crate::window::{Given, Windows};

/// Every option, in the order of the documentation.
const NAMES: [&str; 15] = [
    "max_staleness",
    "fresh_for",
    "stale_for",
    "missing_for",
    "jitter",
    "entries_max",
    "bytes_max",
    "weigher",
    "loads_max",
    "deadline",
    "load_timeout",
    "name",
    "key",
    "key_type",
    "skip",
];

/// The options, as far as they are given.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) windows: Windows,
    pub(crate) entries_max: Option<Given<usize>>,
    pub(crate) bytes_max: Option<Given<usize>>,
    pub(crate) weigher: Option<Given<Expr>>,
    pub(crate) loads_max: Option<Given<usize>>,
    pub(crate) deadline: Option<Given<Duration>>,
    pub(crate) load_timeout: Option<Given<Duration>>,
    pub(crate) name: Option<Given<String>>,
    pub(crate) key: Option<Given<Expr>>,
    pub(crate) key_type: Option<Given<Type>>,
    pub(crate) skip: Option<Given<Vec<Ident>>>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            options.take(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        options.check()?;
        Ok(options)
    }
}

impl Options {
    fn take(&mut self, input: ParseStream<'_>) -> Result<()> {
        let name: Ident = input.parse()?;
        match name.to_string().as_str() {
            "max_staleness" => set(&mut self.windows.max_staleness, &name, duration(input)?),
            "fresh_for" => set(&mut self.windows.fresh_for, &name, duration(input)?),
            "stale_for" => set(&mut self.windows.stale_for, &name, duration(input)?),
            "missing_for" => set(&mut self.windows.missing_for, &name, duration(input)?),
            "jitter" => set(&mut self.windows.jitter, &name, duration(input)?),
            "entries_max" => set(&mut self.entries_max, &name, number(input)?),
            "bytes_max" => set(&mut self.bytes_max, &name, number(input)?),
            "weigher" => set(&mut self.weigher, &name, code(input)?),
            "loads_max" => set(&mut self.loads_max, &name, number(input)?),
            "deadline" => set(&mut self.deadline, &name, duration(input)?),
            "load_timeout" => set(&mut self.load_timeout, &name, duration(input)?),
            "name" => set(&mut self.name, &name, text(input)?),
            "key" => set(&mut self.key, &name, code(input)?),
            "key_type" => set(&mut self.key_type, &name, code(input)?),
            "skip" => set(&mut self.skip, &name, arguments(input, &name)?),
            unknown => Err(Error::new(name.span(), no_such_option(unknown))),
        }
    }

    fn check(&self) -> Result<()> {
        self.windows.check()?;
        let zero = |given: &&Given<Duration>| given.value.is_zero();
        let waits = [&self.deadline, &self.load_timeout];
        if let Some(wait) = waits.into_iter().flatten().find(zero) {
            let message = "load_timeout and deadline must be longer than zero";
            return Err(Error::new(wait.span, message));
        }
        if let Some(given) = self.loads_max.as_ref().filter(|given| given.value == 0) {
            let message = "loads_max must be at least 1: a body that never runs answers nobody";
            return Err(Error::new(given.span, message));
        }
        if let (Some(_), Some(skip)) = (&self.key, &self.skip) {
            let message = "with key, what it doesn't name is no part of the key: leave skip out";
            return Err(Error::new(skip.span, message));
        }
        match (&self.key, &self.key_type) {
            (None, Some(given)) => {
                let message = "key_type says what type key has: give key as well";
                Err(Error::new(given.span, message))
            }
            _ => Ok(()),
        }
    }
}

fn set<T>(place: &mut Option<Given<T>>, name: &Ident, given: Given<T>) -> Result<()> {
    if place.is_some() {
        return Err(Error::new(name.span(), format!("{name} is given twice")));
    }
    *place = Some(given);
    Ok(())
}

fn no_such_option(unknown: &str) -> String {
    match nearest(unknown, &NAMES) {
        Some(name) => format!("there is no option {unknown}; did you mean {name}?"),
        None => format!("there is no option {unknown}; there are {}", NAMES.join(", ")),
    }
}

/// A duration in quotes, as in `= "2s"`.
fn duration(input: ParseStream<'_>) -> Result<Given<Duration>> {
    let how = "a duration is written in quotes, such as \"2s\" or \"1h 30m\"";
    let literal = quoted(input, how)?;
    match humantime::parse_duration(&literal.value()) {
        Ok(value) => Ok(Given { value, span: literal.span() }),
        Err(error) => Err(Error::new(literal.span(), format!("{error}; {how}"))),
    }
}

/// A whole number, as in `= 1_000`.
fn number(input: ParseStream<'_>) -> Result<Given<usize>> {
    input.parse::<Token![=]>()?;
    let literal: LitInt =
        input.parse().map_err(|error| Error::new(error.span(), "a whole number is wanted here"))?;
    Ok(Given { value: literal.base10_parse()?, span: literal.span() })
}

/// Text that says something.
fn text(input: ParseStream<'_>) -> Result<Given<String>> {
    let literal = quoted(input, "a name is written in quotes")?;
    let value = literal.value();
    if value.trim().is_empty() {
        return Err(Error::new(literal.span(), "an empty name names nothing"));
    }
    Ok(Given { value, span: literal.span() })
}

/// Rust code in quotes, as in `= "user.id"`.
fn code<T: Parse>(input: ParseStream<'_>) -> Result<Given<T>> {
    let literal = quoted(input, "Rust code is written in quotes here, such as \"user.id\"")?;
    Ok(Given { value: literal.parse()?, span: literal.span() })
}

/// Names of arguments, as in `(pool, log)`.
fn arguments(input: ParseStream<'_>, option: &Ident) -> Result<Given<Vec<Ident>>> {
    if !input.peek(syn::token::Paren) {
        let message = "name the arguments in brackets, such as skip(pool)";
        return Err(Error::new(option.span(), message));
    }
    let names;
    parenthesized!(names in input);
    let names = Punctuated::<Ident, Token![,]>::parse_terminated(&names)?;
    Ok(Given { value: names.into_iter().collect(), span: option.span() })
}

fn quoted(input: ParseStream<'_>, how: &str) -> Result<LitStr> {
    input.parse::<Token![=]>()?;
    input.parse().map_err(|error: Error| Error::new(error.span(), how))
}
