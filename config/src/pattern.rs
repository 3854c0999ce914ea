//! Patterns of aliases: `%` stands for any number of characters, `?` for exactly one.

#[cfg(test)]
mod tests;

/// Whether a qualifier is a pattern and not one alias.
pub fn is_pattern(qualifier: &str) -> bool {
    qualifier.contains(['%', '?'])
}

/// How many characters of a pattern stand for themselves. Of two patterns that match a node, the
/// one with more of them is the more specific.
pub fn literal_characters(pattern: &str) -> usize {
    pattern
        .chars()
        .filter(|character| !matches!(character, '%' | '?'))
        .count()
}

/// Whether the pattern matches the whole alias. Capital letters count.
///
/// Only the last `%` seen is ever tried again with one more character, so that the time is at
/// most the product of the two lengths, whatever the pattern.
pub fn matches(pattern: &str, alias: &str) -> bool {
    let (mut pattern, mut alias) = (pattern, alias);
    // What stood behind the last `%`, and from where on the alias was tried against it.
    let mut retry: Option<(&str, &str)> = None;
    loop {
        let mut alias_rest = alias.chars();
        let Some(character) = alias_rest.next() else {
            return pattern.chars().all(|wanted| wanted == '%');
        };
        let mut pattern_rest = pattern.chars();
        match pattern_rest.next() {
            Some('%') => {
                pattern = pattern_rest.as_str();
                retry = Some((pattern, alias));
            }
            Some(wanted) if wanted == '?' || wanted == character => {
                pattern = pattern_rest.as_str();
                alias = alias_rest.as_str();
            }
            _ => {
                let Some((behind, tried)) = retry else {
                    return false;
                };
                let mut shorter = tried.chars();
                shorter.next();
                pattern = behind;
                alias = shorter.as_str();
                retry = Some((behind, alias));
            }
        }
    }
}
