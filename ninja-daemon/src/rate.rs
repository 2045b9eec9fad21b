//! How often one caller may ask: a bucket for each account, and for each address that shows no account or a wrong one.
//!
//! How often an account may ask, its role's quota says, which the engine knows and an administrator may change at any time.
//!
//! Buckets refill steadily, so a minute's worth may be asked at once and then one at a time. They live in memory alone; what
//! is full again is forgotten each minute. The answer says what is left (draft-ietf-httpapi-ratelimit-headers).

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::{
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{InvalidHeaderValue, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use governor::{
    Quota, RateLimiter, clock::Clock, middleware::StateInformationMiddleware, state::keyed::DashMapStateStore,
};
use ninja_core::{
    api::{ErrorCode, UserId},
    config::RequestsPerMinute,
};

use crate::{address::neighbourhood, error::Refusal};

pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The window of every quota, in seconds.
const WINDOW_SECONDS: u32 = 60;
/// Some twenty megabytes of buckets. Whoever has more addresses than that is counted by larger networks.
const BUCKETS_MAX: usize = 100_000;

/// By which bucket a route counts who calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// The account's, or the address's where the route asks for none.
    Usual,
    /// A small one of the address, for what tries credentials or costs a password's hash.
    SignIn,
    /// The route finds out by itself who calls, and counts then.
    Introduced,
}

/// All buckets of a server.
#[derive(Debug)]
pub(crate) struct Rates {
    /// Those of accounts, by how often these may ask.
    accounts: RwLock<HashMap<NonZeroU32, Arc<Limiter>>>,
    anonymous: Option<Limiter>,
    sign_in: Option<Limiter>,
    refused: Option<Limiter>,
}

impl Rates {
    pub(crate) fn new(per_minute: RequestsPerMinute) -> Self {
        let RequestsPerMinute { anonymous, sign_in, refused } = per_minute;
        let limiter = |name, per_minute| NonZeroU32::new(per_minute).map(|per_minute| Limiter::new(name, per_minute));
        Self {
            accounts: RwLock::default(),
            anonymous: limiter("anonymous", anonymous),
            sign_in: limiter("sign-in", sign_in),
            refused: limiter("refused", refused),
        }
    }

    /// Counts a request: `known` is who asked, where the route wanted to know, and how often they may, if that is limited.
    /// Fails where that was once too often.
    ///
    /// A credential that is right is never kept out by wrong ones before it: guesses are counted when they were wrong.
    pub(crate) fn count(
        &self,
        bucket: Bucket,
        from: Option<IpAddr>,
        known: Option<Result<(UserId, Option<NonZeroU32>), &Refusal>>,
    ) -> Result<Standing, Exceeded> {
        // Whoever comes without an address is on this machine, and its owner.
        let address = from.map(neighbourhood).map(Key::Address);
        let limiter = match (bucket, known) {
            (Bucket::Introduced, _) => &None,
            (Bucket::SignIn, _) => &self.sign_in,
            (Bucket::Usual, None) => &self.anonymous,
            (Bucket::Usual, Some(Err(_))) => &self.refused,
            (Bucket::Usual, Some(Ok((user, per_minute)))) => {
                let counted = per_minute.map(|per_minute| self.of(per_minute).count(Key::User(user)));
                return counted.transpose().map(Standing);
            }
        };
        let counted = limiter.as_ref().zip(address).map(|(limiter, address)| limiter.count(address));
        counted.transpose().map(Standing)
    }

    /// Returns the buckets of accounts that may ask so often. Whoever may ask more or less often from now on begins a new one.
    fn of(&self, per_minute: NonZeroU32) -> Arc<Limiter> {
        if let Some(limiter) = self.accounts.read().unwrap_or_else(PoisonError::into_inner).get(&per_minute) {
            return Arc::clone(limiter);
        }
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(accounts.entry(per_minute).or_insert_with(|| Arc::new(Limiter::new("default", per_minute))))
    }

    /// Forgets every bucket that is full.
    pub(crate) fn forget_full(&self) {
        let Self { accounts, anonymous, sign_in, refused } = self;
        for limiter in [anonymous, sign_in, refused].into_iter().flatten() {
            limiter.forget_full();
        }
        accounts.write().unwrap_or_else(PoisonError::into_inner).retain(|_, limiter| {
            limiter.forget_full();
            !limiter.buckets.is_empty()
        });
    }
}

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    User(UserId),
    Address(IpAddr),
}

/// Time as the runtime has it, which a test can stop.
#[derive(Debug, Clone, Copy)]
struct RuntimeClock;

impl Clock for RuntimeClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// The buckets of one size.
#[derive(Debug)]
struct Limiter {
    name: &'static str,
    per_minute: NonZeroU32,
    buckets: RateLimiter<Key, DashMapStateStore<Key>, RuntimeClock, StateInformationMiddleware>,
}

impl Limiter {
    fn new(name: &'static str, per_minute: NonZeroU32) -> Self {
        let buckets = RateLimiter::dashmap_with_clock(Quota::per_minute(per_minute), RuntimeClock).with_middleware();
        Self { name, per_minute, buckets }
    }

    fn forget_full(&self) {
        self.buckets.retain_recent();
        self.buckets.shrink_to_fit();
    }

    fn count(&self, mut key: Key) -> Result<Left, Exceeded> {
        if let Key::Address(address) = &mut key
            && self.buckets.len() >= BUCKETS_MAX
        {
            *address = crowd(*address);
        }
        let left = |requests, seconds| Left { name: self.name, per_minute: self.per_minute, requests, seconds };
        match self.buckets.check_key(&key) {
            Ok(state) => Ok(left(state.remaining_burst_capacity(), seconds_up(self.one_more()))),
            Err(until) => Err(Exceeded(left(0, seconds_up(until.wait_time_from(RuntimeClock.now()))))),
        }
    }

    /// Returns how long it takes until one more request may be made.
    fn one_more(&self) -> Duration {
        Duration::from_secs(WINDOW_SECONDS.into()) / self.per_minute.get()
    }
}

/// Returns a network of many, for when there are too many to count each.
fn crowd(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() >> 16 << 16).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 96 << 96).into(),
    }
}

/// A caller that waits for whole seconds does not come too early.
fn seconds_up(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// What is left of a bucket.
#[derive(Debug, Clone, Copy)]
struct Left {
    name: &'static str,
    per_minute: NonZeroU32,
    requests: u32,
    /// Until there is one more.
    seconds: u64,
}

impl Left {
    fn tell(&self, headers: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
        let Self { name, per_minute, requests, seconds } = self;
        headers.insert(RATE_LIMIT_POLICY, format!("\"{name}\";q={per_minute};w={WINDOW_SECONDS}").parse()?);
        headers.insert(RATE_LIMIT, format!("\"{name}\";r={requests};t={seconds}").parse()?);
        Ok(())
    }
}

/// How a caller stands whose request was counted; nothing where there is no limit.
#[derive(Debug)]
pub(crate) struct Standing(Option<Left>);

impl Standing {
    /// Writes it into an answer.
    pub(crate) fn tell(&self, mut answer: Response) -> Response {
        if let Some(left) = &self.0 {
            // Its text is ours, and plain.
            left.tell(answer.headers_mut()).ok();
        }
        answer
    }
}

/// A request too many.
#[derive(Debug)]
pub(crate) struct Exceeded(Left);

impl IntoResponse for Exceeded {
    fn into_response(self) -> Response {
        let Self(left) = self;
        let detail = format!("more than {} requests in a minute; ask again in {} s", left.per_minute, left.seconds);
        let mut answer = Standing(Some(left)).tell(Refusal::new(ErrorCode::TooManyRequests, detail).into_response());
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(left.seconds));
        answer
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use uuid::Uuid;

    use super::*;

    fn somebody(number: u128, per_minute: u32) -> (UserId, Option<NonZeroU32>) {
        (UserId::from_uuid(Uuid::from_u128(number)), NonZeroU32::new(per_minute))
    }

    fn told(counted: Result<Standing, Exceeded>) -> (u16, String, String, String) {
        let answer = match counted {
            Ok(standing) => standing.tell(().into_response()),
            Err(exceeded) => exceeded.into_response(),
        };
        let text =
            |name| answer.headers().get(name).map_or("", |value: &HeaderValue| value.to_str().unwrap()).to_owned();
        (answer.status().as_u16(), text(RATE_LIMIT_POLICY), text(RATE_LIMIT), text(RETRY_AFTER))
    }

    fn few() -> Rates {
        Rates::new(RequestsPerMinute { anonymous: 2, sign_in: 1, refused: 2 })
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_empties_says_so_and_fills_again() {
        let rates = few();
        let user = somebody(1, 2);
        let ask = || told(rates.count(Bucket::Usual, None, Some(Ok(user))));
        let policy = "\"default\";q=2;w=60".to_owned();
        assert_eq!(ask(), (200, policy.clone(), "\"default\";r=1;t=30".into(), String::new()));
        assert_eq!(ask(), (200, policy.clone(), "\"default\";r=0;t=30".into(), String::new()));
        advance(Duration::from_millis(500)).await;
        assert_eq!(ask(), (429, policy.clone(), "\"default\";r=0;t=30".into(), "30".into()));
        advance(Duration::from_secs(30)).await;
        assert_eq!(ask().0, 200, "whoever waits as told is let in");
        assert_eq!(ask().0, 429);
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_has_a_bucket_of_their_own() {
        let rates = few();
        let refusal = Refusal::invalid("x");
        let here: IpAddr = "2001:db8::1".parse().unwrap();
        let (neighbour, stranger) = ("2001:db8::2".parse().unwrap(), "2001:db8:0:1::1".parse().unwrap());
        let is_let_in = |bucket, from, known| rates.count(bucket, Some(from), known).is_ok();
        assert!(is_let_in(Bucket::Usual, here, None) && is_let_in(Bucket::Usual, neighbour, None));
        assert!(!is_let_in(Bucket::Usual, here, None), "a /64 is one");
        assert!(is_let_in(Bucket::Usual, stranger, None));
        assert!(is_let_in(Bucket::SignIn, here, None) && !is_let_in(Bucket::SignIn, here, None));
        for expected in [true, true, false] {
            assert_eq!(is_let_in(Bucket::Usual, here, Some(Err(&refusal))), expected);
        }
        for (number, per_minute, most) in [(1, 2, 2), (2, 2, 2), (3, 3, 3), (4, 0, 50)] {
            let who = somebody(number, per_minute);
            let served = (0..50).filter(|_| rates.count(Bucket::Usual, Some(here), Some(Ok(who))).is_ok()).count();
            assert_eq!(served, most, "{number}: an account counts, whatever its address did");
        }
        let owner = somebody(1, 0);
        assert!((0..50).all(|_| rates.count(Bucket::Usual, None, Some(Ok(owner))).is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_may_ask_more_often_may_at_once() {
        let rates = few();
        let ask = |per_minute| rates.count(Bucket::Usual, None, Some(Ok(somebody(1, per_minute)))).is_ok();
        assert_eq!([ask(1), ask(1), ask(2), ask(2), ask(2), ask(0)], [true, false, true, true, false, true]);
        assert_eq!(rates.accounts.read().unwrap().len(), 2);
        advance(Duration::from_secs(120)).await;
        rates.forget_full();
        assert!(rates.accounts.read().unwrap().is_empty(), "nor are sizes kept that nobody has");
    }

    #[tokio::test(start_paused = true)]
    async fn full_buckets_are_forgotten_and_crowds_counted_together() {
        let rates = few();
        let Some(limiter) = &rates.anonymous else { panic!("it is limited") };
        let ask = |number: u32| rates.count(Bucket::Usual, Some(Ipv4Addr::from_bits(number).into()), None);
        for number in 0..BUCKETS_MAX as u32 {
            assert!(ask(number).is_ok());
        }
        // One network of 65,536 has one bucket from here on, and nobody makes another.
        let served = (0..1_000).filter(|number| ask(0xffff_0000 + number).is_ok()).count();
        assert_eq!((served, limiter.buckets.len()), (2, BUCKETS_MAX + 1));
        advance(Duration::from_secs(120)).await;
        rates.forget_full();
        assert_eq!(limiter.buckets.len(), 0);
    }
}
