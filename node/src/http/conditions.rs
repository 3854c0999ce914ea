//! Conditions on a content, and parts of it: RFC 9110, chapters 13 and 14.

use std::ops::Range;

use axum::http::header::{self, HeaderMap, HeaderName};
use vaquita_core::dfs::digest::Digest;

use super::problem::Problem;

/// The entity tag of a content: always a strong one, since it is a digest of the bytes.
pub(super) fn etag(digest: Digest) -> String {
    format!("\"{digest}\"")
}

/// What a header of conditions names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tags {
    /// `*`: anything that is there.
    Any,
    /// One of these contents.
    These(Vec<String>),
}

impl Tags {
    /// What `If-Match` or `If-None-Match` names, if there is such a header.
    pub(super) fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Problem> {
        let malformed = || {
            Problem::invalid(format!(
                "`{name}` takes `*`, or entity tags in quotes as an `ETag` header gives them"
            ))
        };
        let mut tags = Vec::new();
        let mut any = false;
        for value in headers.get_all(name) {
            for tag in value.to_str().map_err(|_| malformed())?.split(',') {
                match tag.trim() {
                    "" => {}
                    "*" => any = true,
                    tag => {
                        let bare = tag.strip_prefix("W/").unwrap_or(tag);
                        let quoted =
                            bare.len() >= 2 && bare.starts_with('"') && bare.ends_with('"');
                        if !quoted {
                            return Err(malformed());
                        }
                        tags.push(tag.to_owned());
                    }
                }
            }
        }
        Ok(match (any, tags.is_empty()) {
            (true, _) => Some(Self::Any),
            (false, true) if headers.contains_key(name) => return Err(malformed()),
            (false, true) => None,
            (false, false) => Some(Self::These(tags)),
        })
    }

    /// Whether a content is among them. A weak tag names no exact content, so that none is.
    pub(super) fn name(&self, digest: Digest) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.contains(&etag(digest)),
        }
    }

    /// The same, where a weak tag is good enough: to say that there is nothing new.
    pub(super) fn name_roughly(&self, digest: Digest) -> bool {
        let etag = etag(digest);
        match self {
            Self::Any => true,
            Self::These(tags) => tags
                .iter()
                .any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag),
        }
    }
}

/// Which part of a content is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// These bytes.
    Bytes(Range<u64>),
    /// None that there is.
    Nothing,
}

impl Part {
    /// The part that `Range` and `If-Range` ask for, of a content of `len` bytes. Several ranges
    /// at once, another unit, and a content that is no longer the one that was meant give the whole.
    pub(super) fn of(headers: &HeaderMap, digest: Digest, len: u64) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(wanted) = text(header::RANGE).and_then(|range| range.strip_prefix("bytes="))
        else {
            return Self::Whole;
        };
        if headers.contains_key(header::IF_RANGE)
            && text(header::IF_RANGE) != Some(etag(digest).as_str())
        {
            return Self::Whole;
        }
        let Some((first, last)) = wanted.split_once('-') else {
            return Self::Whole;
        };
        let (first, last) = (first.trim(), last.trim());
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // A number too large for 64 bits lies behind every end.
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let range = match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(len),
            (Some(first), None) if last.is_empty() => first..len,
            (None, Some(suffix)) if first.is_empty() => len.saturating_sub(suffix)..len,
            _ => return Self::Whole,
        };
        if range.start >= len || range.is_empty() {
            Self::Nothing
        } else {
            Self::Bytes(range)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    fn part(range: &str, len: u64) -> Part {
        Part::of(&headers(&[(header::RANGE, range)]), Digest::default(), len)
    }

    #[test]
    fn a_single_range_is_cut_to_what_there_is() {
        for (range, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-5", 2..6),
            ("bytes=2-", 2..10),
            ("bytes=-3", 7..10),
            ("bytes=-30", 0..10),
            ("bytes=5-99999999999999999999999999", 5..10),
            ("bytes= 1 - 2 ", 1..3),
        ] {
            assert_eq!(part(range, 10), Part::Bytes(expected), "{range}");
        }
    }

    #[test]
    fn a_range_behind_the_end_is_nothing() {
        for range in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=-0",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(part(range, 10), Part::Nothing, "{range}");
        }
        for range in ["bytes=0-", "bytes=-5"] {
            assert_eq!(part(range, 0), Part::Nothing, "{range}");
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_gives_the_whole() {
        for range in [
            "bytes=0-1,3-4",
            "lines=1-2",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=+1-2",
        ] {
            assert_eq!(part(range, 10), Part::Whole, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_content_gives_the_whole() {
        let digest = Digest::of(b"x");
        let tag = etag(digest);
        let weak = format!("W/{tag}");
        for (condition, expected) in [
            (tag.as_str(), Part::Bytes(0..1)),
            (weak.as_str(), Part::Whole),
            ("\"other\"", Part::Whole),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Part::Whole),
        ] {
            let headers = headers(&[(header::RANGE, "bytes=0-0"), (header::IF_RANGE, condition)]);
            assert_eq!(Part::of(&headers, digest, 10), expected, "{condition}");
        }
    }

    #[test]
    fn tags_are_read_and_compared() {
        let digest = Digest::of(b"x");
        let tag = etag(digest);
        let read = |text: &str| {
            Tags::of(&headers(&[(header::IF_MATCH, text)]), &header::IF_MATCH)
                .unwrap()
                .unwrap()
        };
        assert!(read("*").name(digest));
        assert!(read(&tag).name(digest));
        assert!(read(&format!("\"a\", {tag}")).name(digest));
        assert!(!read("\"a\"").name(digest));
        let weak = read(&format!("W/{tag}"));
        assert!(!weak.name(digest) && weak.name_roughly(digest));
        for text in ["abc", "\"", ","] {
            let headers = headers(&[(header::IF_MATCH, text)]);
            assert!(Tags::of(&headers, &header::IF_MATCH).is_err(), "{text}");
        }
        assert_eq!(Tags::of(&HeaderMap::new(), &header::IF_MATCH), Ok(None));
    }
}
