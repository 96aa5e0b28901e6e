//! `${section.key}`, which stands for another value of the config, as OmegaConf has it.

use std::collections::BTreeSet;

use super::error::{Error, Problem};
use super::node::{Content, Node, Place};

/// More links of a chain than any config has.
const LONGEST: usize = 16;
/// More than any config refers to, in values and bytes of text.
const MOST: usize = 1 << 20;

/// Puts values in the place of what refers to them. Gives the keys at the root that were referred to: some are there for nothing
/// else.
///
/// # Errors
/// A reference leads nowhere, in a circle, or is of a kind that is not read.
pub(super) fn interpolate(root: &mut Node) -> Result<BTreeSet<String>, Error> {
    let original = root.clone();
    let mut references = References { root: &original, used: BTreeSet::new(), copied: 0 };
    references.replace(root, LONGEST)?;
    Ok(references.used)
}

struct References<'a> {
    /// The config as it was.
    root: &'a Node,
    used: BTreeSet<String>,
    /// How much was put in the place of references: values that refer to values twice over grow without end.
    copied: usize,
}

impl References<'_> {
    fn replace(&mut self, node: &mut Node, left: usize) -> Result<(), Error> {
        let place = node.place;
        match &mut node.content {
            Content::List(items) => items.iter_mut().try_for_each(|item| self.replace(item, left)),
            Content::Map(entries) => {
                entries.iter_mut().try_for_each(|entry| self.replace(&mut entry.value, left))
            }
            Content::Text(text) if text.contains("${") => {
                node.content = self.expand(text, place, left)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A text with the values that it refers to; the value itself where the text is nothing but one reference.
    fn expand(&mut self, text: &str, place: Place, left: usize) -> Result<Content, Error> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let after = &rest[start + 2..];
            let end = after.find('}').ok_or_else(|| {
                Error::at(place, Problem::Syntax { reason: "`${` without its `}`".to_owned() })
            })?;
            let target = self.target(after[..end].trim(), place, left)?;
            if start == 0 && end + 3 == text.len() {
                return Ok(target.content);
            }
            out.push_str(&rest[..start]);
            match target.content {
                Content::Text(text) => out.push_str(&text),
                Content::Int(number) => out.push_str(&number.to_string()),
                Content::Float(number) => out.push_str(&serde_json::Value::from(number).to_string()),
                Content::Bool(value) => out.push_str(if value { "true" } else { "false" }),
                Content::Null | Content::List(_) | Content::Map(_) => {
                    let name = after[..end].trim().to_owned();
                    return Err(Error::at(place, Problem::WithinText { name, found: target.kind() }));
                }
            }
            rest = &after[end + 1..];
        }
        out.push_str(rest);
        Ok(Content::Text(out))
    }

    /// The value of this name, with what it refers to itself.
    fn target(&mut self, name: &str, place: Place, left: usize) -> Result<Node, Error> {
        let problem = |problem: fn(String) -> Problem| Error::at(place, problem(name.to_owned()));
        if name.starts_with('.') || name.contains([':', '$', '{', '[']) {
            return Err(problem(|name| Problem::Resolver { name }));
        }
        let left = left.checked_sub(1).ok_or_else(|| problem(|name| Problem::Circle { name }))?;
        let mut target =
            self.root.get(name).ok_or_else(|| problem(|name| Problem::NoTarget { name }))?.clone();
        self.copied += size(&target);
        if self.copied > MOST {
            return Err(Error::at(place, Problem::TooMany { limit: MOST }));
        }
        self.used.extend(name.split('.').next().map(str::to_owned));
        self.replace(&mut target, left)?;
        Ok(target)
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.content {
        Content::Text(text) => text.len(),
        Content::List(items) => items.iter().map(size).sum(),
        Content::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum(),
        _ => 0,
    }
}
