//! Users from the lines of an ACL file or of the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Users;
use super::rules::{RuleError, Surroundings, has_spaces, merge_selectors};
use super::user::{DEFAULT, User};

/// Reads the text of an ACL file, which messages call `path`. An error lists all that is wrong.
pub(super) fn read_file(
    text: &[u8],
    path: &str,
    around: &Surroundings<'_>,
) -> Result<Users, String> {
    let mut users: Users = BTreeMap::new();
    let mut errors = String::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = trim(line);
        if !line.is_empty() {
            read_line(line, &format!("{path}:{}", index + 1), &mut users, &mut errors, around);
        }
    }
    if !errors.is_empty() {
        errors.push_str(
            "WARNING: ACL errors detected, no change to the previously active ACL rules was \
             performed",
        );
        return Err(errors);
    }
    if !users.contains_key(DEFAULT) {
        users.insert(DEFAULT.into(), Arc::new(User::default_user(around, b"")));
    }
    Ok(users)
}

fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii()
}

/// Reads `user name rule ...`, and appends what is wrong with it.
fn read_line(
    line: &[u8],
    place: &str,
    users: &mut Users,
    errors: &mut String,
    around: &Surroundings<'_>,
) {
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [b"user", name, rules @ ..] = words.as_slice() else {
        *errors += &format!("{place} should start with user keyword followed by the username. ");
        return;
    };
    if has_spaces(name) {
        *errors += &format!("{place}: username '{}' contains invalid characters. ", show(name));
        return;
    }
    if users.contains_key(*name) {
        let number = place.rsplit(':').next().unwrap_or_default();
        *errors += &format!("WARNING: Duplicate user '{}' found on line {number}. ", show(name));
        return;
    }
    let mut user = User::new(name, around);
    let Ok(rules) = merge_selectors(rules) else {
        *errors += &format!("{place}: Unmatched parenthesis in selector definition.");
        return;
    };
    for rule in rules {
        let Err(error) = user.apply(rule.trim_ascii(), around) else { continue };
        let text = error.text();
        *errors += &if error == RuleError::Unknown {
            format!("{place}: Error in applying operation '{}': {text}. ", show(&rule))
        } else {
            format!("{place}: {text}. ")
        };
    }
    users.insert(Arc::clone(&user.name), Arc::new(user));
}

fn show(text: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(text)
}

/// Reads one `user` line of the configuration.
pub(super) fn read_config_user(
    name: &[u8],
    rules: &[Vec<u8>],
    around: &Surroundings<'_>,
) -> Result<User, String> {
    if has_spaces(name) {
        return Err("Spaces not allowed in ACL usernames".into());
    }
    let mut user = User::new(name, around);
    let words: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
    let rules = merge_selectors(&words).map_err(|open| {
        format!("Unmatched parenthesis in acl selector starting at '{}'.", show(open))
    })?;
    for rule in rules {
        user.apply(&rule, around).map_err(|error| {
            let (rule, name) = (show(&rule).into_owned(), show(name).into_owned());
            format!("Error loading ACL rule '{rule}' for the user named '{name}': {}", error.text())
        })?;
    }
    Ok(user)
}
