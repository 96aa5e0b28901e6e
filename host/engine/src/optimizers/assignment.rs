//! Which optimizer trains which parameter: each that trains belongs to exactly one.

use globset::GlobMatcher;
use kiwi_core::config::OptimizerSection;
use kiwi_core::diagnostic::{Diagnostic, nearest};
use kiwi_core::error_code::Code;
use kiwi_plugin_api::{NamedTensors, Parameter, ParameterGroup};

use crate::system::ENCODER;

/// The parameters of each optimizer, in the order of the sections.
///
/// # Errors
/// Every pattern that names no parameter that trains, and every parameter that belongs to none or to several.
pub(super) fn assign(
    sections: &[&OptimizerSection],
    parameters: &[Parameter],
) -> Result<Vec<NamedTensors>, Vec<Diagnostic>> {
    let patterns: Vec<Option<Vec<GlobMatcher>>> = sections
        .iter()
        .map(|section| {
            let patterns = section.parameters.as_ref()?;
            Some(patterns.iter().map(globset::Glob::compile_matcher).collect())
        })
        .collect();
    let mut assigned: Vec<NamedTensors> = sections.iter().map(|_| Vec::new()).collect();
    let (mut unclaimed, mut doubly) = (Vec::new(), Vec::new());
    for parameter in parameters.iter().filter(|parameter| parameter.trainable) {
        let name = &parameter.name;
        let claims = |patterns: &Option<Vec<GlobMatcher>>| match patterns {
            None => true,
            Some(patterns) => patterns.iter().any(|pattern| pattern.is_match(name)),
        };
        let owners: Vec<usize> =
            patterns.iter().enumerate().filter(|(_, patterns)| claims(patterns)).map(|(i, _)| i).collect();
        match owners.as_slice() {
            [] => unclaimed.push(name.as_str()),
            [owner] => assigned[*owner].push((name.clone(), parameter.tensor.shallow_clone())),
            several => {
                let paths: Vec<_> = several.iter().map(|owner| sections[*owner].path.as_str()).collect();
                doubly.push(format!("`{name}` belongs to {}", paths.join(" and ")));
            }
        }
    }
    let mut errors = Vec::new();
    for (section, matchers) in sections.iter().zip(&patterns) {
        for (index, matcher) in matchers.iter().flatten().enumerate() {
            errors.extend(names_nothing(section, index, matcher, parameters));
        }
    }
    errors.extend(left_over(&unclaimed));
    errors.extend(claimed_twice(doubly));
    if errors.is_empty() { Ok(assigned) } else { Err(errors) }
}

fn names_nothing(
    section: &OptimizerSection,
    index: usize,
    pattern: &GlobMatcher,
    parameters: &[Parameter],
) -> Option<Diagnostic> {
    let named: Vec<&Parameter> =
        parameters.iter().filter(|parameter| pattern.is_match(&parameter.name)).collect();
    if named.iter().any(|parameter| parameter.trainable) {
        return None;
    }
    let text = pattern.glob().glob();
    let trainable: Vec<&str> = parameters
        .iter()
        .filter(|parameter| parameter.trainable)
        .map(|parameter| parameter.name.as_str())
        .collect();
    let error = Diagnostic::error(Code::Assignment, format!("`{text}` names no parameter that trains"))
        .at(format!("{}[{index}]", section.path_of("parameters")))
        .found(format!("\"{text}\""))
        .expected("a pattern over the names of parameters, such as \"encoder.embeddings.*\"")
        .nearest(nearest(text, trainable.iter().copied()));
    Some(match named.as_slice() {
        [] => error
            .note(format!("the parameters that train: {}", trainable.join(", ")))
            .help("correct or remove the pattern"),
        frozen => frozen.iter().fold(error.help("remove the pattern"), |error, one| {
            error.note(format!("{} is frozen", one.name))
        }),
    })
}

fn left_over(names: &[&str]) -> Option<Diagnostic> {
    let error = match names.len() {
        0 => return None,
        1 => Diagnostic::error(Code::Assignment, "a parameter belongs to no optimizer"),
        n => Diagnostic::error(Code::Assignment, format!("{n} parameters belong to no optimizer")),
    };
    let error = error
        .at("system.optimizer")
        .expected("each parameter that trains named by the patterns of exactly one optimizer")
        .help("add a pattern for them to one of the optimizers, or an optimizer that trains them");
    Some(names.iter().fold(error, |error, name| error.note(format!("`{name}` belongs to none"))))
}

fn claimed_twice(claims: Vec<String>) -> Option<Diagnostic> {
    let error = match claims.len() {
        0 => return None,
        1 => Diagnostic::error(Code::Assignment, "a parameter belongs to more than one optimizer"),
        n => Diagnostic::error(Code::Assignment, format!("{n} parameters belong to more than one optimizer")),
    };
    let error = error
        .at("system.optimizer")
        .expected("each parameter that trains named by the patterns of exactly one optimizer")
        .help("make the patterns narrower, so that they do not overlap");
    Some(claims.into_iter().fold(error, Diagnostic::note))
}

/// The parameters of an optimizer as groups with their learning rates: one group, or the encoder's and the others' where the encoder
/// has a rate of its own.
///
/// # Errors
/// When the encoder is given a rate and the optimizer trains nothing of it.
pub(super) fn groups(
    section: &OptimizerSection,
    parameters: NamedTensors,
) -> Result<Vec<(ParameterGroup, f64)>, Box<Diagnostic>> {
    let Some(encoder_rate) = section.encoder_learning_rate else {
        return Ok(vec![(ParameterGroup::new("all", parameters), section.learning_rate)]);
    };
    let (of_encoder, others): (Vec<_>, Vec<_>) =
        parameters.into_iter().partition(|(name, _)| name.starts_with(ENCODER));
    if of_encoder.is_empty() {
        return Err(Box::new(
            Diagnostic::error(Code::Assignment, "this optimizer trains no parameter of the encoder")
                .at(section.path_of("encoder_learning_rate"))
                .found(encoder_rate.to_string())
                .expected("no such key, or patterns that name parameters of the encoder")
                .help("remove the key"),
        ));
    }
    let groups = [("encoder", of_encoder, encoder_rate), ("others", others, section.learning_rate)];
    let there = groups.into_iter().filter(|(_, parameters, _)| !parameters.is_empty());
    Ok(there.map(|(name, parameters, rate)| (ParameterGroup::new(name, parameters), rate)).collect())
}
