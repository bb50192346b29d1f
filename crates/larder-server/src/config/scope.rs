//! From an option to its value: the environment is asked, the kind is checked, the default is
//! taken, and what is wrong is reported where it stands.

use super::document::{Entry, Raw, Written};
use super::environment::{self, Lookup};
use super::findings::{Findings, Reported};
use super::options::{About, Default, Opt};
use super::text::Span;
use super::value::{Fault, Form, List, OptionValue};

/// What reading a value needs.
pub(super) struct Scope<'s, 't> {
    pub(super) findings: &'s mut Findings<'t>,
    pub(super) lookup: Lookup<'s>,
}

impl Scope<'_, '_> {
    /// The value of `option`, if it was written.
    pub(super) fn get<T: OptionValue>(
        &mut self,
        written: &Written,
        option: &Opt<T>,
    ) -> Result<Option<T>, Reported> {
        let about = &option.about;
        let Some(entry) = written.entry(about) else {
            return Ok(None);
        };
        self.value(about, about.form, entry).map(Some)
    }

    /// The values of `option`, each with where it stands; none if it wasn't written. Each that
    /// is wrong is reported.
    pub(super) fn list<T: OptionValue, const MAX: u32>(
        &mut self,
        written: &Written,
        option: &Opt<List<T, MAX>>,
    ) -> Result<Vec<(T, Span)>, Reported> {
        let about = &option.about;
        let Some(entry) = written.entry(about) else {
            return Ok(Vec::new());
        };
        match &entry.raw {
            Raw::List(items) if (1..=MAX as usize).contains(&items.len()) => {
                let value = |item: &Entry| {
                    let List(value) = self.value::<List<T, MAX>>(about, Form::Text, item)?;
                    Ok((value, item.value.clone()))
                };
                let values: Vec<Result<_, Reported>> = items.iter().map(value).collect();
                values.into_iter().collect()
            }
            _ => Err(self.wrong_form(about, entry)),
        }
    }

    /// The value of `entry`, which TOML writes in this form.
    fn value<T: OptionValue>(
        &mut self,
        about: &About,
        form: Form,
        entry: &Entry,
    ) -> Result<T, Reported> {
        let (text, from_environment) = self.text(about, form, entry)?;
        T::from_text(&text).map_err(|Fault { what, mut cure }| {
            if from_environment {
                cure.push_str(" (the value is what the environment gave)");
            }
            self.findings.error([&entry.value], format!("`{}` {what}", about.name), cure)
        })
    }

    /// The value of an option that must be written.
    pub(super) fn required<T: OptionValue>(
        &mut self,
        written: &Written,
        option: &Opt<T>,
    ) -> Result<T, Reported> {
        let about = &option.about;
        self.get(written, option)?.ok_or_else(|| {
            let what = format!("{} has no `{}`", written.header(), about.name);
            self.findings.error(&written.at, what, format!("give it one. {}", about.why))
        })
    }

    /// The value of an option that has a default value.
    pub(super) fn or_default<T: OptionValue>(
        &mut self,
        written: &Written,
        option: &Opt<T>,
    ) -> Result<T, Reported> {
        Ok(self.get(written, option)?.unwrap_or_else(|| default(option)))
    }

    /// What was written, as text, with its variables replaced, and whether there were any.
    fn text(
        &mut self,
        about: &About,
        form: Form,
        entry: &Entry,
    ) -> Result<(String, bool), Reported> {
        match (&entry.raw, form) {
            (Raw::Text(written), form) => {
                let expanded = environment::expand(written, self.lookup)
                    .map_err(|fault| self.environment_fault(about, entry, fault))?;
                if form != Form::Text && expanded.variables == 0 {
                    return Err(self.wrong_form(about, entry));
                }
                Ok((expanded.text, expanded.variables > 0))
            }
            (Raw::Integer(number), Form::Integer | Form::Float)
            | (Raw::Float(number), Form::Float) => Ok((number.clone(), false)),
            (Raw::Flag(flag), Form::Flag) => Ok((flag.to_string(), false)),
            _ => Err(self.wrong_form(about, entry)),
        }
    }

    fn wrong_form(&mut self, about: &About, entry: &Entry) -> Reported {
        let what = format!("`{}` must be {}", about.name, about.value());
        let cure = match (about.form, about.what) {
            (Form::Text, "a duration") => "put it in quotes, with its unit: \"2s\"",
            (Form::Text, "a size") => "put it in quotes, with its unit: \"256MiB\"",
            (form, _) => form.cure(),
        };
        self.findings.error([&entry.value], what, cure)
    }

    fn environment_fault(
        &mut self,
        about: &About,
        entry: &Entry,
        fault: environment::Fault,
    ) -> Reported {
        match fault {
            environment::Fault::Malformed => self.findings.error(
                [&entry.value],
                format!("`{}` holds a `${{` that is no variable", about.name),
                "write ${NAME}, the name in letters, digits and `_`; for a literal `${` write \
                 `$${`",
            ),
            environment::Fault::Unset(names) => {
                let list = names.join(", ");
                let at = self.reference(entry, &names[0]);
                self.findings.error(
                    [&at],
                    format!("not set in the environment: {list}"),
                    "set it where larder is started, or write the value here",
                )
            }
        }
    }

    /// Where `${name}` stands in the value; the whole value when escapes hide it.
    fn reference(&self, entry: &Entry, name: &str) -> Span {
        let reference = format!("${{{name}}}");
        self.findings.text().slice(&entry.value).find(&reference).map_or_else(
            || entry.value.clone(),
            |offset| {
                let start = entry.value.start + offset;
                start..start + reference.len()
            },
        )
    }
}

/// The default value of `option`, which the table says it has.
pub(super) fn default<T: OptionValue>(option: &Opt<T>) -> T {
    let Default::Value(text) = option.about.default else {
        unreachable!("`{}` has no default value in the table of options", option.about.name);
    };
    T::from_text(text).unwrap_or_else(|fault| {
        unreachable!("the default of `{}` {}", option.about.name, fault.what)
    })
}
