//! Access tokens: JWTs (RFC 7519, profile RFC 9068) that say which session of which user asks.
//!
//! Signed with HMAC-SHA256 and nothing else (RFC 8725): a header that names another algorithm, a key of its own or where to
//! fetch one is refused before anything is computed. Roles are not in them: whoever lost one loses it at once. Keys overlap:
//! one signs, the ones before it still verify until their last token has expired.

use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use super::secret_text::{self, NoRandom};
use crate::api::{Secret, SessionId, Timestamp, UserId};

const ISSUER: &str = "ninja";
const AUDIENCE: &str = "ninja-api";
/// RFC 9068: so no other kind of token passes for one.
const TYPE: &str = "at+jwt";
const ALGORITHM: Algorithm = Algorithm::HS256;
/// Ours have about 450 bytes; what is longer is not looked at.
const BYTES_MAX: usize = 2_048;
/// Clocks of several machines of one installation differ; of one machine's tokens none is from the future.
const LEEWAY_S: i64 = 30;
const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 8;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    aud: String,
    pub sub: UserId,
    pub sid: SessionId,
    /// Its own name; no two tokens share it.
    jti: String,
    iat: i64,
    nbf: i64,
    pub exp: i64,
}

/// A token that does not prove anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not ours, altered, or signed with a key that is gone.
    #[error("the access token is not valid")]
    Invalid,
    /// It was good.
    #[error("the access token has expired; renew it with the refresh token")]
    Expired,
}

/// A key that signs access tokens.
#[derive(Clone)]
pub(crate) struct SigningKey {
    /// Its name in tokens: 16 hex digits.
    pub(super) id: String,
    pub(super) secret: Secret,
    /// Until when it verifies; the newest has no end.
    pub(super) ends_at: Option<Timestamp>,
}

impl SigningKey {
    /// Makes a key.
    pub(crate) fn generate() -> Result<Self, NoRandom> {
        let id: [u8; KEY_ID_BYTES] = secret_text::random()?;
        let secret: [u8; KEY_BYTES] = secret_text::random()?;
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { id, secret: Secret::new(secret_text::write(&secret)), ends_at: None })
    }
}

/// Signs and verifies.
pub(crate) struct AccessTokens {
    /// The newest first.
    keys: RwLock<Arc<[SigningKey]>>,
}

impl AccessTokens {
    /// Begins with these keys, the newest first.
    pub(crate) fn new(keys: Vec<SigningKey>) -> Self {
        Self { keys: RwLock::new(keys.into()) }
    }

    /// Returns the keys, the newest first.
    fn keys(&self) -> Arc<[SigningKey]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes on with these keys, the newest first.
    pub(crate) fn replace(&self, keys: Vec<SigningKey>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }

    /// Signs a token for a session. `None` where there is no key.
    pub(crate) fn sign(
        &self,
        user: UserId,
        session: SessionId,
        now: Timestamp,
        lives_s: u32,
        jti: uuid::Uuid,
    ) -> Option<Secret> {
        let keys = self.keys();
        let key = keys.first()?;
        let now = now.as_second();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            sid: session,
            jti: jti.simple().to_string(),
            iat: now,
            nbf: now,
            exp: now + i64::from(lives_s),
        };
        let header = Header { typ: Some(TYPE.to_owned()), kid: Some(key.id.clone()), ..Header::new(ALGORITHM) };
        let signed = encode(&header, &claims, &EncodingKey::from_secret(key.secret.expose().as_bytes()));
        signed.ok().map(Secret::new)
    }

    /// Verifies a token.
    ///
    /// # Errors
    ///
    /// Fails where it proves nothing.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        if token.len() > BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let header = decode_header(token).map_err(|_| TokenError::Invalid)?;
        check_header(&header)?;
        let keys = self.keys();
        let named = keys.iter().find(|key| header.kid.as_deref() == Some(key.id.as_str()));
        let key = named.filter(|key| key.ends_at.is_none_or(|ends_at| now < ends_at)).ok_or(TokenError::Invalid)?;
        let decoded = decode::<Claims>(token, &DecodingKey::from_secret(key.secret.expose().as_bytes()), &validation());
        let claims = decoded.map_err(|_| TokenError::Invalid)?.claims;
        let now = now.as_second();
        match claims {
            Claims { nbf, iat, .. } if nbf > now + LEEWAY_S || iat > now + LEEWAY_S => Err(TokenError::Invalid),
            Claims { exp, .. } if exp <= now => Err(TokenError::Expired),
            claims => Ok(claims),
        }
    }
}

fn check_header(header: &Header) -> Result<(), TokenError> {
    let Header { typ, alg, jku, jwk, x5u, x5c, crit, enc, zip, .. } = header;
    let is_ours = typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE)) && *alg == ALGORITHM;
    let brings_a_key = jku.is_some() || jwk.is_some() || x5u.is_some() || x5c.is_some();
    let is_more = crit.is_some() || enc.is_some() || zip.is_some();
    match is_ours && !brings_a_key && !is_more {
        true => Ok(()),
        false => Err(TokenError::Invalid),
    }
}

/// The times are compared with the engine's clock, not with the library's.
fn validation() -> Validation {
    let mut validation = Validation::new(ALGORITHM);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ids() -> (UserId, SessionId) {
        (UserId::from_uuid(uuid::Uuid::from_u128(1)), SessionId::from_uuid(uuid::Uuid::from_u128(2)))
    }

    fn tokens() -> AccessTokens {
        AccessTokens::new(vec![SigningKey::generate().unwrap()])
    }

    fn signed(tokens: &AccessTokens) -> Secret {
        let (user, session) = ids();
        tokens.sign(user, session, at(NOW), 1_800, uuid::Uuid::nil()).unwrap()
    }

    fn verify(tokens: &AccessTokens, token: &str, second: i64) -> Result<Claims, TokenError> {
        tokens.verify(token, at(second))
    }

    /// Signs any header and claims as ours are signed.
    fn forge(tokens: &AccessTokens, header: &Value, claims: &str) -> String {
        let key = tokens.keys()[0].clone();
        let message =
            format!("{}.{}", secret_text::write(header.to_string().as_bytes()), secret_text::write(claims.as_bytes()));
        let key = EncodingKey::from_secret(key.secret.expose().as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, ALGORITHM).unwrap();
        format!("{message}.{signature}")
    }

    fn header(tokens: &AccessTokens) -> Value {
        json!({ "alg": "HS256", "typ": "at+jwt", "kid": tokens.keys()[0].id })
    }

    fn claims() -> Value {
        let (user, session) = ids();
        let (exp, iss, aud) = (NOW + 60, "ninja", "ninja-api");
        json!({ "iss": iss, "aud": aud, "sub": user, "sid": session, "jti": "1", "iat": NOW, "nbf": NOW, "exp": exp })
    }

    fn with(mut object: Value, field: &str, value: Value) -> Value {
        object[field] = value;
        object
    }

    fn without(mut object: Value, field: &str) -> Value {
        object.as_object_mut().unwrap().remove(field);
        object
    }

    #[test]
    fn a_token_is_good_until_it_expires_to_the_second() {
        let tokens = tokens();
        let token = signed(&tokens);
        let (user, session) = ids();
        let claims = verify(&tokens, token.expose(), NOW).unwrap();
        assert_eq!((claims.sub, claims.sid), (user, session));
        assert!(verify(&tokens, token.expose(), NOW + 1_799).is_ok());
        assert_eq!(verify(&tokens, token.expose(), NOW + 1_800), Err(TokenError::Expired));
        assert!(verify(&tokens, token.expose(), NOW - LEEWAY_S).is_ok());
        assert_eq!(verify(&tokens, token.expose(), NOW - LEEWAY_S - 1), Err(TokenError::Invalid));
    }

    #[test]
    fn a_forged_one_of_the_right_form_passes_so_that_the_others_fail_for_their_own_reason() {
        let tokens = tokens();
        assert!(verify(&tokens, &forge(&tokens, &header(&tokens), &claims().to_string()), NOW).is_ok());
    }

    #[test]
    fn headers_that_ask_for_anything_else_are_refused() {
        let tokens = tokens();
        let good = header(&tokens);
        let mut bad = vec![without(good.clone(), "typ"), without(good.clone(), "kid"), without(good.clone(), "alg")];
        for algorithm in ["none", "NoNe", "NONE", "", "HS384", "HS512", "RS256", "ES256", "EdDSA", "PS256"] {
            bad.push(with(good.clone(), "alg", json!(algorithm)));
        }
        for kind in ["JWT", "refresh+jwt", "", "application/at+jwt2"] {
            bad.push(with(good.clone(), "typ", json!(kind)));
        }
        for kid in ["../../dev/null", "/dev/null", "' OR 1=1 --", "", "0000000000000000"] {
            bad.push(with(good.clone(), "kid", json!(kid)));
        }
        let jwk = json!({ "kty": "oct", "k": "AAAA", "alg": "HS256" });
        bad.push(with(good.clone(), "jwk", jwk));
        bad.push(with(good.clone(), "jku", json!("https://evil.example/keys")));
        bad.push(with(good.clone(), "x5u", json!("https://evil.example/certificate")));
        bad.push(with(good.clone(), "x5c", json!(["AAAA"])));
        bad.push(with(good.clone(), "crit", json!(["exp"])));
        bad.push(with(good.clone(), "zip", json!("DEF")));
        bad.push(with(good, "kid", json!(["a"])));
        for header in bad {
            let token = forge(&tokens, &header, &claims().to_string());
            assert_eq!(verify(&tokens, &token, NOW), Err(TokenError::Invalid), "{header}");
        }
    }

    #[test]
    fn claims_that_are_missing_or_of_others_are_refused() {
        let tokens = tokens();
        let mut bad: Vec<Value> =
            ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp"].map(|field| without(claims(), field)).into();
        for (field, value) in [
            ("iss", json!("other")),
            ("aud", json!("other")),
            ("aud", json!(["other"])),
            ("sub", json!("user_1")),
            ("sub", json!("../admin")),
            ("sid", json!(null)),
            ("exp", json!("1")),
            ("exp", json!(-1)),
            ("exp", json!(1e18)),
            ("exp", json!(NOW - 1)),
            ("nbf", json!(NOW + 3_600)),
            ("iat", json!(NOW + 3_600)),
        ] {
            bad.push(with(claims(), field, value));
        }
        for claims in bad {
            let token = forge(&tokens, &header(&tokens), &claims.to_string());
            assert!(verify(&tokens, &token, NOW).is_err(), "{claims}");
        }
    }

    #[test]
    fn texts_that_are_no_token_are_refused() {
        let tokens = tokens();
        let token = signed(&tokens);
        let token = token.expose();
        let parts: Vec<&str> = token.split('.').collect();
        let (header, claims, signature) = (parts[0], parts[1], parts[2]);
        let other = forge(&tokens, &super::tests::header(&tokens), &super::tests::claims().to_string());
        let their_claims = other.split('.').nth(1).unwrap();
        for bad in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "...".to_owned(),
            format!("{header}.{claims}"),
            format!("{header}.{claims}."),
            format!("{token}.{signature}"),
            format!("{header}.{their_claims}.{signature}"),
            format!("{header}.{claims}.{}", signature.chars().rev().collect::<String>()),
            format!(" {token}"),
            format!("{token}="),
            "x".repeat(64 * 1024),
            format!("{header}.{}.{signature}", "x".repeat(64 * 1024)),
        ] {
            assert_eq!(verify(&tokens, &bad, NOW), Err(TokenError::Invalid), "{}", &bad[..bad.len().min(80)]);
        }
        assert!(verify(&self::tokens(), token, NOW).is_err(), "another installation's");
    }

    #[test]
    fn keys_overlap_until_the_older_one_ends() {
        let tokens = tokens();
        let token = signed(&tokens);
        let mut older = tokens.keys()[0].clone();
        older.ends_at = Some(at(NOW + 100));
        tokens.replace(vec![SigningKey::generate().unwrap(), older]);
        let newer = signed(&tokens);
        assert_ne!(token, newer);
        assert!(verify(&tokens, token.expose(), NOW + 99).is_ok() && verify(&tokens, newer.expose(), NOW + 99).is_ok());
        assert_eq!(verify(&tokens, token.expose(), NOW + 100), Err(TokenError::Invalid));
        assert!(verify(&tokens, newer.expose(), NOW + 100).is_ok());
    }
}
