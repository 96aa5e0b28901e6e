//! Lists of nodes as SLURM writes them: `gpu[01-03,7],login`.

/// The first node of a list, which is where task 0 of a step runs; `None` where the list is empty or its brackets do not fit.
///
/// ```
/// use kiwi_core::place::nodes::first;
/// assert_eq!(first("gpu[01-03,7],login").as_deref(), Some("gpu01"));
/// assert_eq!(first("rack[2-3]n[08,10]").as_deref(), Some("rack2n08"));
/// assert_eq!(first("login").as_deref(), Some("login"));
/// assert_eq!(first("gpu["), None);
/// ```
#[must_use]
pub fn first(list: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = list.trim();
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match next {
            ',' => break,
            '[' => {
                let (inside, after) = rest.split_once(']')?;
                let of_first = inside.split([',', '-']).next().filter(|text| !text.is_empty())?;
                name.push_str(of_first);
                rest = after;
            }
            ']' => return None,
            other => name.push(other),
        }
    }
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn what_is_no_list_has_no_first_node() {
        for list in ["", " ", ",", "a[]", "a[,1]", "a]", "[", "a[1"] {
            assert_eq!(first(list), None, "{list:?}");
        }
    }
}
