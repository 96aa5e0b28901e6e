//! Values given as `--set PATH=VALUE`, put into the document before it is checked, so that they are checked like the
//! file's.

use std::path::Path;
use std::sync::Arc;

use super::document::{self, Document, Member, Node, Place, Value};
use super::path::{self, Step};
use super::syntax::{self, MAXIMUM_DEPTH};
use crate::diagnostic::Diagnostic;
use crate::error_code::Code;

/// Replaces or creates the value at `path`. The text is JSON, or else a string as it stands.
pub(super) fn apply(document: &mut Document, path: &str, text: &str, complaints: &mut Vec<Diagnostic>) {
    let steps = match path::parse(path) {
        Some(steps) if !steps.is_empty() && steps.len() < MAXIMUM_DEPTH => steps,
        _ => return complaints.push(not_a_path(path, text)),
    };
    let place = Place::Override(Arc::from(path));
    let mut value = syntax::parse(text, steps.len(), &|_| place.clone())
        .unwrap_or_else(|_| Node { value: Value::String(text.to_owned()), place: place.clone() });
    let file = document.file().to_owned();
    document::remove_repeated_keys(&file, &mut value, path, complaints);
    if let Err(obstacle) = put(document.root_mut(), &steps, value, &place) {
        complaints.push(obstructed(&file, &steps, &obstacle, &place));
    }
}

fn not_a_path(path: &str, text: &str) -> Diagnostic {
    let found =
        if path.is_empty() { "an empty path".to_owned() } else { format!("`{}`", syntax::shorten(path)) };
    Diagnostic::error(
        Code::Override,
        format!("`--set {}={}` has no valid path", syntax::shorten(path), syntax::shorten(text)),
    )
    .found(found)
    .expected("a path such as trainer.epochs or data.train.input.source[0]")
}

/// What stands in an override's way.
struct Obstacle {
    /// How many steps lead to it.
    steps: usize,
    found: String,
    expected: String,
    place: Place,
}

fn put(root: &mut Node, steps: &[Step], value: Node, place: &Place) -> Result<(), Obstacle> {
    let mut node = root;
    for (done, step) in steps.iter().enumerate() {
        let obstacle = Obstacle {
            steps: done,
            found: node.describe(),
            expected: String::new(),
            place: node.place.clone(),
        };
        let expected = match (step, &mut node.value) {
            (Step::Key(key), Value::Object(members)) => {
                node = child(members, key, place);
                continue;
            }
            (Step::Key(_), _) => "an object".to_owned(),
            (Step::Index(index), Value::Array(elements)) => {
                if let Some(element) = elements.get_mut(*index) {
                    node = element;
                    continue;
                }
                format!("an array of at least {}", index.saturating_add(1))
            }
            (Step::Index(_), _) => "an array".to_owned(),
        };
        return Err(Obstacle { expected, ..obstacle });
    }
    *node = value;
    Ok(())
}

/// The complaint about an obstacle, at its place in the file if it has one.
fn obstructed(file: &Path, steps: &[Step], obstacle: &Obstacle, place: &Place) -> Diagnostic {
    let parent = path::display(&steps[..obstacle.steps]);
    let wanted = path::display(&steps[..=obstacle.steps]);
    let complaint = if parent.is_empty() {
        Diagnostic::error(
            Code::Override,
            format!("cannot set `{wanted}` in a config that is not {}", obstacle.expected),
        )
    } else {
        Diagnostic::error(
            Code::Override,
            format!("cannot set `{wanted}`: {parent} is not {}", obstacle.expected),
        )
        .help(format!("set {parent} as a whole"))
    };
    let complaint = complaint.at(parent).found(&*obstacle.found).expected(&*obstacle.expected);
    let complaint = document::at_place(file, complaint, place);
    match obstacle.place {
        Place::File(_) => document::at_place(file, complaint, &obstacle.place),
        Place::Override(_) => complaint,
    }
}

/// The value under `key`, made an empty object if it is not there.
fn child<'n>(members: &'n mut Vec<Member>, key: &str, place: &Place) -> &'n mut Node {
    let index = members.iter().position(|member| member.key == key).unwrap_or_else(|| {
        members.push(Member {
            key: key.to_owned(),
            key_place: place.clone(),
            value: Node { value: Value::Object(Vec::new()), place: place.clone() },
        });
        members.len() - 1
    });
    &mut members[index].value
}
