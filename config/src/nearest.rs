//! "Did you mean": the known name nearest to a misspelt one.

#[cfg(test)]
mod tests;

/// The name nearest to `word`, if one is near enough to be worth suggesting.
///
/// Near enough means the same but for case, at most two typing errors (an inserted, lost, changed
/// or swapped character) in names long enough to bear them, or a long common beginning. Ties go
/// to the earlier name.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let length = lower.chars().count();
    // The distance is quadratic in the length, and nothing that long is a misspelt name.
    if length == 0 || length > 80 {
        return None;
    }
    let mut best: Option<(usize, f64, &'a str)> = None;
    for name in names {
        // No measure bridges more than that, and the lengths are had for nothing.
        if name.len().abs_diff(word.len()) > 8 {
            continue;
        }
        let candidate = name.to_lowercase();
        let distance = strsim::osa_distance(&lower, &candidate);
        let similarity = strsim::jaro_winkler(&lower, &candidate);
        let tolerated = match length.min(candidate.chars().count()) {
            0..=3 => 1,
            _ => 2,
        };
        if distance > tolerated && similarity <= 0.92 {
            continue;
        }
        let better = best.is_none_or(|(least, most, _)| {
            distance < least || (distance == least && similarity > most)
        });
        if better {
            best = Some((distance, similarity, name));
        }
    }
    best.map(|(_, _, name)| name)
}
