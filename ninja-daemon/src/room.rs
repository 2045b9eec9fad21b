//! How many connections there may be, of all and of one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use ninja_core::config::HttpConfig;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::address::{is_trusted, neighbourhood};

/// As many tabs, terminals and programs as a large office behind one address has.
const PER_ADDRESS_MAX: usize = 512;

/// The tree's files, which are open twice while it is opened anew, with room for sandboxes and providers.
const OWN_DESCRIPTORS: usize = 256;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The daemon has as many connections as it takes.
    Daemon,
    /// The address has as many as one may have.
    Address,
}

/// The places for connections from the network.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    http: Arc<HttpConfig>,
    all: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The place of one connection, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    /// What it counts for, where that is limited.
    address: Option<IpAddr>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Room {
    pub(crate) fn new(http: Arc<HttpConfig>) -> Self {
        let places = http.connections_max.min(descriptors_for_connections());
        if places < http.connections_max {
            tracing::info!(places, wanted = http.connections_max, "fewer connections, for want of file descriptors");
        }
        Self { http, all: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))), taken: Arc::default() }
    }

    /// Takes a place for a connection from an address.
    pub(crate) fn take(&self, from: IpAddr) -> Result<Place, Full> {
        let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::Daemon)?;
        let taken = Arc::clone(&self.taken);
        let Some(places) = self.places_of(from) else {
            return Ok(Place { _permit: permit, address: None, taken });
        };
        let address = neighbourhood(from);
        {
            let mut counts = taken.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(address).or_default();
            if *count >= places {
                return Err(Full::Address);
            }
            *count += 1;
        }
        Ok(Place { _permit: permit, address: Some(address), taken })
    }

    /// A proxy speaks for many. On this machine everybody is one address, so it is limited only where that was asked for.
    fn places_of(&self, from: IpAddr) -> Option<usize> {
        match self.http.connections_per_address_max {
            _ if is_trusted(&self.http, from) => None,
            None if from.is_loopback() => None,
            None => Some(PER_ADDRESS_MAX),
            Some(0) => None,
            Some(places) => Some(places),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut counts = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

/// What the process may open, less a quarter and less what it needs itself. That is the journal's, the sandboxes' and the
/// providers': strangers who connect must not be able to keep a task from being written down.
fn descriptors_for_connections() -> usize {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    limit.saturating_sub(OWN_DESCRIPTORS).min(limit / 4 * 3).max(limit / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(set: impl FnOnce(&mut HttpConfig)) -> Room {
        let mut http = HttpConfig { connections_max: 4, ..HttpConfig::default() };
        set(&mut http);
        Room::new(Arc::new(http))
    }

    #[test]
    fn places_are_counted_and_come_back() {
        let room = room(|http| http.connections_per_address_max = Some(2));
        let (here, there) = ("2001:db8::1".parse().unwrap(), "2001:db8:0:1::1".parse().unwrap());
        let first = room.take(here).unwrap();
        let near = room.take("2001:db8::ffff".parse().unwrap()).unwrap();
        assert_eq!(room.take(here).unwrap_err(), Full::Address, "a household has one /64");
        let others = [room.take(there).unwrap(), room.take(there).unwrap()];
        assert_eq!(room.take("192.0.2.1".parse().unwrap()).unwrap_err(), Full::Daemon);
        drop((first, near, others));
        assert!(room.taken.lock().unwrap().is_empty(), "nothing is kept of who has left");
        assert!(room.take(here).is_ok());
    }

    #[test]
    fn proxies_and_this_machine_speak_for_many() {
        let many = |http: &mut HttpConfig| http.connections_max = 1_000;
        let local = room(many);
        let held: Vec<_> = (0..600).map(|_| local.take("127.0.0.1".parse().unwrap()).unwrap()).collect();
        let stranger: Vec<_> = (0..600).map_while(|_| local.take("192.0.2.1".parse().unwrap()).ok()).collect();
        assert_eq!((held.len(), stranger.len()), (600, 400), "of 1,000");
        let proxied = room(|http| {
            http.connections_per_address_max = Some(1);
            http.trusted_proxies = vec!["192.0.2.1".to_owned().try_into().unwrap()];
        });
        let both = [proxied.take("192.0.2.1".parse().unwrap()), proxied.take("192.0.2.1".parse().unwrap())];
        assert!(both.iter().all(Result::is_ok));
    }
}
