//! Passwords: which are taken, and the slow hash that keeps them.
//!
//! Argon2id with what OWASP recommends (19 MiB, 2 passes), as a PHC string that tells its own parameters. Only a few are made at
//! a time, for each takes its memory and a core; who is not known is made to wait for the same work as who is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use super::Attempt;
use crate::api::Secret;

/// NIST SP 800-63B-4 for a password that is the only factor.
const CHARS_MIN: usize = 15;
/// Far beyond any phrase; what is hashed must not be a way to keep the machine busy.
const BYTES_MAX: usize = 1_024;
/// The strength of what is longer shows in its beginning, and looking at more takes long.
const LOOKED_AT_CHARS: usize = 72;
/// Hashes at a time: 40 MB, and a core is left to everybody else on the smallest machine.
const AT_A_TIME: usize = 2;
/// Whoever comes when so many wait is refused: it would be half a minute.
const WAITING_MAX: usize = 1_024;
/// The hash of a password that nobody has: whoever is unknown is compared with it.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bmluamEtZGVjb3ktc2FsdA$6t0Ne1yIX2LZDbBvKOEJqvSS5J8yLBnPUwm6WB9wgEI";

/// Why a password is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordError {
    /// Too short.
    #[error("a password has at least {CHARS_MIN} characters: a few words make a good one")]
    Short,
    /// Too long.
    #[error("a password has at most {BYTES_MAX} bytes")]
    Long,
    /// Easily guessed.
    #[error("this password is easily guessed{0}")]
    Weak(String),
    /// Too many are hashed already.
    #[error("too many passwords are being checked; try again in a few seconds")]
    Busy,
    /// Too many of that account were wrong.
    #[error("too many failed attempts; try again in {} seconds", .0.as_secs().max(1))]
    TooOften(Duration),
    /// The hash could not be made or read.
    #[error("the password could not be checked: {0}")]
    Broken(String),
}

/// A password that may be taken.
#[derive(Debug, Clone)]
pub(crate) struct NewPassword(Secret);

impl NewPassword {
    /// Checks a password that somebody chose. `context` is what stands around it, such as the account's name.
    ///
    /// # Errors
    ///
    /// Fails where it is too short, too long, or easily guessed.
    pub(crate) fn check(password: &Secret, context: &[&str]) -> Result<Self, PasswordError> {
        let password = normal(password)?;
        if password.expose().chars().count() < CHARS_MIN {
            return Err(PasswordError::Short);
        }
        let looked_at: String = password.expose().chars().take(LOOKED_AT_CHARS).collect();
        let strength = zxcvbn::zxcvbn(&looked_at, context);
        if strength.score() < zxcvbn::Score::Three {
            let why = strength.feedback().and_then(|feedback| feedback.warning());
            return Err(PasswordError::Weak(why.map_or_else(String::new, |why| format!(": {why}"))));
        }
        Ok(Self(password))
    }
}

impl NewPassword {
    /// Takes a password that was compared just now, to hash it anew.
    pub(crate) fn known(password: &Secret) -> Result<Self, PasswordError> {
        normal(password).map(Self)
    }
}

/// Brings a text typed on one keyboard and the same on another to the same bytes.
fn normal(password: &Secret) -> Result<Secret, PasswordError> {
    if password.expose().len() > BYTES_MAX {
        return Err(PasswordError::Long);
    }
    Ok(Secret::new(password.expose().nfc().collect::<String>()))
}

/// What a comparison came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Whether it is the password.
    pub matches: bool,
    /// Whether the hash is to be made anew, because its parameters are not today's.
    pub is_dated: bool,
}

/// Makes and compares hashes, a few at a time.
pub(crate) struct Passwords {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    done: Arc<AtomicU64>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(AT_A_TIME)), waiting: AtomicUsize::new(0), done: Arc::default() }
    }
}

impl Passwords {
    /// Hashes a password.
    ///
    /// # Errors
    ///
    /// Fails where too many wait already.
    pub(crate) async fn hash(&self, NewPassword(password): NewPassword) -> Result<String, PasswordError> {
        self.work(move || {
            let hash = hasher().hash_password(password.expose().as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|error| PasswordError::Broken(error.to_string()))
        })
        .await
    }

    /// Compares a password with a hash; with a decoy where there is none, which takes as long and never matches.
    ///
    /// # Errors
    ///
    /// Fails where too many wait already, the hash cannot be read, or the `attempt` is one too many by the time it is its turn.
    pub(crate) async fn compare(
        &self,
        password: &Secret,
        hash: Option<&str>,
        attempt: Option<Attempt>,
    ) -> Result<Compared, PasswordError> {
        let (password, known) = (normal(password)?, hash.is_some());
        let hash = hash.unwrap_or(DECOY).to_owned();
        self.work(move || {
            if let Some(wait) = attempt.as_ref().and_then(Attempt::wait) {
                return Err(PasswordError::TooOften(wait));
            }
            let broken = |error: &dyn std::fmt::Display| PasswordError::Broken(error.to_string());
            let hash = PasswordHash::new(&hash).map_err(|error| broken(&error))?;
            let matches = hasher().verify_password(password.expose().as_bytes(), &hash).is_ok();
            let params = Params::try_from(&hash).map_err(|error| broken(&error))?;
            if let Some(attempt) = attempt {
                attempt.end(matches && known);
            }
            Ok(Compared { matches: matches && known, is_dated: params.to_string() != Params::DEFAULT.to_string() })
        })
        .await
    }

    /// Returns how many hashes were made.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _waiting = Waiting::join(&self.waiting)?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        let done = Arc::clone(&self.done);
        // The slot goes along: whoever asked may be gone before the work is done.
        let worked = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            done.fetch_add(1, Ordering::Relaxed);
            work()
        });
        worked.await.map_err(|error| PasswordError::Broken(error.to_string()))?
    }
}

/// A place among those who wait, given back when it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(waiting: &'a AtomicUsize) -> Result<Self, PasswordError> {
        let place = Self(waiting);
        match waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX {
            true => Ok(place),
            false => Err(PasswordError::Busy),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "correct horse battery staple mountain";

    fn check(password: &str, context: &[&str]) -> Result<NewPassword, PasswordError> {
        NewPassword::check(&Secret::new(password), context)
    }

    #[test]
    fn length_counts_and_composition_does_not() {
        assert_eq!(check("vq8 Lk2 zR5 mN", &[]).unwrap_err(), PasswordError::Short);
        assert!(check("vq8 Lk2 zR5 mNx", &[]).is_ok(), "15 characters");
        assert!(check("plums sailing over quiet umbrellas", &[]).is_ok(), "letters alone");
        let emoji: String = (0..64).filter_map(|n| char::from_u32(0x1f400 + n * 7 % 64)).collect();
        assert!(check(&emoji, &[]).is_ok(), "64 emoji");
        let long: String = (0..1_024_u32).map(|n| char::from(b'a' + (n * n % 23) as u8)).collect();
        assert!(check(&long, &[]).is_ok(), "1,024 bytes");
        assert_eq!(check(&format!("{long}x"), &[]).unwrap_err(), PasswordError::Long);
    }

    #[test]
    fn what_is_easily_guessed_is_refused() {
        for bad in [
            "aaaaaaaaaaaaaaaaaaaa",
            "passwordpassword",
            "qwertyuiopasdfgh",
            "1234567890123456",
            "abcdefghijklmnopq",
            "iloveyouiloveyou",
            "Password123456789",
        ] {
            assert!(matches!(check(bad, &[]), Err(PasswordError::Weak(_))), "{bad}");
        }
        let context = ["ada@lovelace.example", "Ada Lovelace", "ninja"];
        assert!(matches!(check("ada@lovelace.example", &context), Err(PasswordError::Weak(_))));
    }

    #[tokio::test]
    async fn a_password_matches_its_hash_however_it_was_typed() {
        let passwords = Passwords::default();
        let hash = passwords.hash(check("caf\u{e9} \u{fc}ber den Wolken", &[]).unwrap()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let typed = Secret::new("cafe\u{301} u\u{308}ber den Wolken");
        let same = passwords.compare(&typed, Some(&hash), None).await.unwrap();
        assert_eq!(same, Compared { matches: true, is_dated: false });
        assert!(!passwords.compare(&Secret::new(GOOD), Some(&hash), None).await.unwrap().matches);
    }

    #[tokio::test]
    async fn whoever_is_unknown_costs_the_same_work_and_never_matches() {
        let passwords = Passwords::default();
        for password in ["", GOOD, "ninja-decoy"] {
            let before = passwords.done();
            let compared = passwords.compare(&Secret::new(password), None, None).await.unwrap();
            assert_eq!((compared.matches, compared.is_dated, passwords.done() - before), (false, false, 1));
        }
    }

    #[tokio::test]
    async fn a_hash_of_other_parameters_still_matches_and_is_dated() {
        let old = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8_192, 1, 1, None).unwrap());
        let hash = old.hash_password(GOOD.as_bytes()).unwrap().to_string();
        let compared = Passwords::default().compare(&Secret::new(GOOD), Some(&hash), None).await.unwrap();
        assert_eq!(compared, Compared { matches: true, is_dated: true });
        let broken = Passwords::default().compare(&Secret::new(GOOD), Some("no hash"), None).await;
        assert!(matches!(broken, Err(PasswordError::Broken(_))));
    }
}
