//! What to say about a name that no option has: the nearest one, where it belongs, what larder
//! calls it, or that this version doesn't have it yet.

use larder_core::template::nearest;

use super::document::Written;
use super::findings::Findings;
use super::options::{self, Heads, SECTIONS, Section, later};
use super::text::Span;

/// Why larder doesn't simply ignore it.
const WHY: &str = "what larder doesn't know is an error, because a misspelt promise would be \
                   another promise";

/// `name` is no section.
pub(super) fn section(name: &str, at: &Span, findings: &mut Findings<'_>) {
    if let Some(later) = later::find(None, name) {
        findings.error([at], format!("[{name}] is not in this version yet"), later.instead);
        return;
    }
    let planned = later::LATER.iter().find(|later| later.name == name);
    let is_outer = |section: &&Section| section.heads.outer().is_none();
    let outer = || SECTIONS.into_iter().filter(is_outer).map(|section| section.name);
    let headers = || SECTIONS.into_iter().map(Section::header).collect::<Vec<_>>().join(", ");
    let cure = if let Some(near) = nearest(name, outer()) {
        format!("did you mean [{near}]? {}", sentence(WHY))
    } else if let Some((home, _)) = options::all().find(|(_, about)| about.name == name) {
        format!("`{name}` belongs to {}", home.header())
    } else if let Some(planned) = planned {
        format!("it is not in this version yet: {}", planned.instead)
    } else {
        format!("the sections are {}; {WHY}", headers())
    };
    findings.error([at], format!("{} is no section", shown(name)), cure);
}

/// `name` is no option of the section `written`.
pub(super) fn option(written: &Written, name: &str, at: &Span, findings: &mut Findings<'_>) {
    let (section, header) = (written.section, written.header());
    if let Some(later) = later::find(Some(section.name), name) {
        let what = format!("{} of {header} is not in this version yet", shown(name));
        findings.error([at], what, later.instead);
        return;
    }
    let names = || section.options.iter().map(|about| about.name);
    let called = section.options.iter().find(|about| about.elsewhere.contains(&name));
    let home = options::all().find(|(_, about)| about.name == name);
    let cure = if let Some(about) = called {
        format!("larder calls it `{}`: {}", about.name, about.why)
    } else if let Some((home, _)) = home {
        format!("`{name}` belongs to {}", home.header())
    } else if let Some(near) = nearest(name, names()) {
        format!("did you mean `{near}`? {}", sentence(WHY))
    } else {
        let list = names().collect::<Vec<_>>().join(", ");
        format!("{header} knows {list}; {WHY}")
    };
    findings.error([at], format!("{} is no option of {header}", shown(name)), cure);
}

/// A section's name was given a value.
pub(super) fn not_a_section(section: &Section, at: &Span, findings: &mut Findings<'_>) {
    let what = format!("`{}` is a section, not a value", section.name);
    let once = format!("write {} on a line of its own, once", section.header());
    let cure = match section.heads {
        Heads::One => once,
        Heads::Named => format!("{once} for each name"),
        Heads::Within(outer) => format!("{once} for each {outer}"),
        Heads::Each(_) => format!(
            "write {} on a line of its own, as often as needed, or a list of tables: \
             [{{ table = \"orders\" }}]",
            section.header()
        ),
    };
    findings.error([at], what, cure);
}

/// An option stands where a name should be: `[cache]` without a name.
pub(super) fn nameless(section: &Section, at: &Span, findings: &mut Findings<'_>) {
    let what = format!("[{0}] holds named sections, not options", section.name);
    findings.error([at], what, format!("name it: {}", section.header()));
}

/// A name that not everything can carry.
pub(super) fn bad_name(section: &Section, at: &Span, findings: &mut Findings<'_>) {
    findings.error(
        [at],
        format!("this can't be the name of a {}", section.name),
        "a name begins with a small letter and goes on with small letters, digits, `_` and `-`, \
         at most 64 in all",
    );
}

fn shown(name: &str) -> String {
    format!("`{}`", plain(name))
}

/// A name for a message: without what a terminal would act upon, and not endless.
pub(super) fn plain(name: &str) -> String {
    let mut escaped = name.escape_debug();
    let mut plain: String = escaped.by_ref().take(64).collect();
    if escaped.next().is_some() {
        plain.push('…');
    }
    plain
}

fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
