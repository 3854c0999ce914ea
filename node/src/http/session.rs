//! The sessions of browsers: a token in a cookie, and what this process remembers of it.
//!
//! A session is a token like any other, issued by the controller and void when it says so. Beside that, one
//! that nobody uses for a while ends, and what the next page is to tell waits here. What is remembered is
//! lost with the process, and then a session merely counts as used a moment ago.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;
use vaquita_web::Flash;

/// How long a session may go unused.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// How long the password that was typed once more counts.
const PROVED_FOR: Duration = Duration::from_secs(5 * 60);
/// How many are remembered, the one that was used longest ago giving way.
const SESSIONS_MAX: usize = 1000;
/// Notices that wait for one session's next page.
const FLASHES_MAX: usize = 8;

/// Name of the header by which scripts prove that they are of this session's own page.
pub(super) const CSRF_HEADER: &str = "x-vq-csrf";
/// Name of the header of requests that a page makes by itself, while nobody touches it.
pub(super) const LIVE_HEADER: &str = "x-vq-live";

type TokenHash = [u8; 32];

struct Remembered {
    used: Instant,
    flashes: Vec<Flash>,
    /// How many of them the page shows that is being drawn.
    shown: usize,
    /// When its user has last shown to know the password, beside the login.
    proved: Option<Instant>,
}

/// What is remembered of sessions.
#[derive(Default)]
pub(super) struct Sessions {
    remembered: Mutex<BTreeMap<TokenHash, Remembered>>,
}

impl Sessions {
    /// Whether a session is still good, for all that is known here; notes that it is used if somebody does.
    pub(super) fn admits(&self, token: &str, by_somebody: bool) -> bool {
        let now = Instant::now();
        match self.lock().get_mut(&hash(token)) {
            Some(known) if now.duration_since(known.used) >= IDLE_MAX => false,
            Some(known) => {
                if by_somebody {
                    known.used = now;
                }
                true
            }
            // Known to the machine, perhaps.
            None => true,
        }
    }

    /// The machine knows the session: it is remembered from here on. Nothing is remembered of tokens that
    /// somebody made up, which would push out what is.
    pub(super) fn confirm(&self, token: &str) {
        let mut remembered = self.lock();
        let hash = hash(token);
        if remembered.contains_key(&hash) {
            return;
        }
        make_room(&mut remembered);
        let fresh = Remembered {
            used: Instant::now(),
            flashes: Vec::new(),
            shown: 0,
            proved: None,
        };
        remembered.insert(hash, fresh);
    }

    /// Its user has shown to know the password.
    pub(super) fn prove(&self, token: &str) {
        if let Some(known) = self.lock().get_mut(&hash(token)) {
            known.proved = Some(Instant::now());
        }
    }

    /// Whether its user has shown that a moment ago.
    pub(super) fn is_proved(&self, token: &str) -> bool {
        let proved = self.lock().get(&hash(token)).and_then(|it| it.proved);
        proved.is_some_and(|at| at.elapsed() < PROVED_FOR)
    }

    /// Something that was begun by this session goes on: bytes of a file move, nodes are restarted.
    pub(super) fn used(&self, token: &str) {
        if let Some(known) = self.lock().get_mut(&hash(token)) {
            known.used = Instant::now();
        }
    }

    /// The session is over.
    pub(super) fn forget(&self, token: &str) {
        self.lock().remove(&hash(token));
    }

    /// Keeps a notice for the session's next page.
    pub(super) fn tell(&self, token: &str, flash: Flash) {
        if let Some(known) = self.lock().get_mut(&hash(token))
            && known.flashes.len() < FLASHES_MAX
        {
            known.flashes.push(flash);
        }
    }

    /// What there is to tell. It is told again until a page was [drawn](Self::was_told) with it.
    pub(super) fn to_tell(&self, token: &str) -> Vec<Flash> {
        match self.lock().get_mut(&hash(token)) {
            Some(known) => {
                known.shown = known.flashes.len();
                known.flashes.clone()
            }
            None => Vec::new(),
        }
    }

    /// A page has told what there was to tell.
    pub(super) fn was_told(&self, token: &str) {
        if let Some(known) = self.lock().get_mut(&hash(token)) {
            let shown = std::mem::take(&mut known.shown).min(known.flashes.len());
            known.flashes.drain(..shown);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TokenHash, Remembered>> {
        // Nothing that holds it can panic half way.
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(remembered: &mut BTreeMap<TokenHash, Remembered>) {
    if remembered.len() < SESSIONS_MAX {
        return;
    }
    let oldest = remembered.iter().min_by_key(|(_, it)| it.used);
    if let Some(hash) = oldest.map(|(hash, _)| *hash) {
        remembered.remove(&hash);
    }
}

/// A token is kept nowhere where it is not needed.
fn hash(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

/// What a page of this session proves itself by. Whoever knows it learns nothing of the token.
pub(super) fn csrf(token: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(token.as_bytes());
    let mut mac = mac.expect("a key of any length will do");
    mac.update(b"vaquita csrf");
    let tag = mac.finalize().into_bytes();
    tag.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether this proves what [`csrf`] proves. Compares in constant time.
pub(super) fn is_csrf(token: &str, shown: &str) -> bool {
    csrf(token).as_bytes().ct_eq(shown.as_bytes()).into()
}

/// The value of a cookie, if the browser sent exactly one of that name.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).into_iter();
    let pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(key, _)| *key == name);
    match (named.next(), named.next()) {
        (Some((_, value)), None) => Some(value),
        // Somebody else's page on this host has set a second one; neither is to be trusted.
        _ => None,
    }
}

/// The cookie that carries a session; without a token, the one that ends it.
pub(super) fn session_cookie(name: &str, token: Option<&str>) -> HeaderValue {
    let secure = if name.starts_with("__Host-") {
        "; Secure"
    } else {
        ""
    };
    let text = match token {
        Some(token) => format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict{secure}"),
        None => format!("{name}=; Path=/; HttpOnly; SameSite=Strict{secure}; Max-Age=0"),
    };
    HeaderValue::try_from(text).expect("a token is made of letters, digits and underscores")
}

/// A cookie that remembers what somebody likes to see; no secret, and good for nothing else.
pub(super) fn preference_cookie(name: &str, value: &str) -> Option<HeaderValue> {
    let harmless = |it: char| it.is_ascii_alphanumeric() || "-_.~%".contains(it);
    let fits = value.len() <= 400 && value.chars().all(harmless);
    fits.then(|| {
        HeaderValue::try_from(format!(
            "{name}={value}; Path=/; SameSite=Strict; Max-Age=31536000"
        ))
        .ok()
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::from_static(cookie));
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_among_others_and_never_guessed() {
        let all = headers(&["a=1; vq8990=token ", "b=2"]);
        assert_eq!(cookie(&all, "vq8990"), Some("token"));
        assert_eq!(cookie(&all, "vq899"), None);
        assert_eq!(cookie(&headers(&["vq8990=a; vq8990=b"]), "vq8990"), None);
        assert_eq!(cookie(&headers(&["vq8990=a", "vq8990=b"]), "vq8990"), None);
    }

    #[test]
    fn what_proves_a_page_is_of_its_session_alone() {
        assert!(is_csrf("one", &csrf("one")));
        assert!(!is_csrf("one", &csrf("other")));
        assert!(!is_csrf("one", ""));
        assert!(!csrf("one").contains("one"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_nobody_uses_it_although_its_page_is_open() {
        let sessions = Sessions::default();
        sessions.confirm("token");
        for _ in 0..29 {
            tokio::time::advance(Duration::from_secs(60)).await;
            assert!(sessions.admits("token", false));
        }
        assert!(sessions.admits("token", true), "used: half an hour more");
        tokio::time::advance(Duration::from_secs(29 * 60)).await;
        assert!(sessions.admits("token", false));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!sessions.admits("token", true), "too late");
        assert!(!sessions.admits("token", true), "and it stays so");
    }

    #[tokio::test(start_paused = true)]
    async fn not_more_are_remembered_than_there_is_room_for() {
        let sessions = Sessions::default();
        for number in 0..SESSIONS_MAX + 5 {
            tokio::time::advance(Duration::from_millis(1)).await;
            sessions.confirm(&number.to_string());
        }
        assert_eq!(sessions.lock().len(), SESSIONS_MAX);
    }

    #[test]
    fn nothing_is_remembered_of_tokens_that_the_machine_does_not_know() {
        let sessions = Sessions::default();
        assert!(sessions.admits("made up", true));
        assert!(sessions.lock().is_empty());
    }

    #[test]
    fn a_notice_is_kept_until_a_page_has_told_it() {
        let flash = |line: &str| Flash {
            tone: vaquita_web::Tone::Good,
            lines: vec![line.to_owned()],
        };
        let sessions = Sessions::default();
        sessions.confirm("token");
        sessions.tell("token", flash("one"));
        assert_eq!(sessions.to_tell("token"), [flash("one")]);
        assert_eq!(sessions.to_tell("token"), [flash("one")], "no page yet");
        // What comes while the page is drawn is for the next one.
        sessions.tell("token", flash("two"));
        sessions.was_told("token");
        assert_eq!(sessions.to_tell("token"), [flash("two")]);
        sessions.was_told("token");
        sessions.was_told("token");
        assert_eq!(sessions.to_tell("token"), []);
    }

    #[test]
    fn cookies_say_who_may_read_them_and_when_they_are_sent() {
        let plain = session_cookie("vq8990", Some("vqt_1_2"));
        assert_eq!(plain, "vq8990=vqt_1_2; Path=/; HttpOnly; SameSite=Strict");
        let tls = session_cookie("__Host-vq8990", Some("t"));
        assert!(tls.to_str().unwrap().ends_with("; Secure"));
        assert_eq!(preference_cookie("vqcols", "a;b"), None);
    }
}
