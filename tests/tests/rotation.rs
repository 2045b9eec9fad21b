//! The kill loop of key rotation: a dozen sealed secrets, SIGKILL at a random moment of a rotation, over and over.
//!
//! After each kill the ring on the disk opens every secret, and the next rotation goes through. The seed is printed;
//! `NINJA_TEST_SEED` repeats it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ninja_core::{
    Engine, EngineOptions, ResumePolicy,
    api::{ProviderKind, ProviderOrigin, ProviderSettings, RotateKeys, Secret},
    journal::{
        disk::{DiskOptions, DiskStore},
        store::{DocKind, Store},
    },
};
use ninja_sdk::{Client, SdkError};
use ninja_tests::{Process, Random, bare_command};
use serde_json::Value;

const SECRETS: usize = 12;
const KILLS: usize = 30;

/// A home, and the daemons that come and go in it.
struct Home(tempfile::TempDir);

impl Home {
    fn data_dir(&self) -> PathBuf {
        self.0.path().join("data")
    }

    async fn start(&self) -> (Process, Client) {
        let args = ["serve", "--listen", "127.0.0.1:0"].map(OsStr::new);
        let mut command = bare_command(Path::new(env!("CARGO_BIN_EXE_ninja-under-test")), &args, self.0.path());
        command.env("NINJA_DATA_DIR", self.data_dir()).env("OLLAMA_HOST", "127.0.0.1:9");
        let process = Process::run(command).await.unwrap();
        let key = fs::read_to_string(self.data_dir().join("owner.key")).unwrap();
        let url = format!("http://{}", process.address);
        (process, Client::builder().url(&url).key(key.trim()).build().unwrap())
    }

    /// Returns how many master keys there are.
    fn ring(&self) -> usize {
        let text = fs::read_to_string(self.data_dir().join("vault.keys")).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).count()
    }

    /// Returns with how many different keys the secrets are sealed, by what stands in the store.
    fn sealed_with(&self) -> usize {
        let store = DiskStore::open(&self.data_dir(), DiskOptions::default()).unwrap();
        let docs = store.list_docs(DocKind::Provider, "").unwrap();
        assert_eq!(docs.len(), SECRETS);
        let sealed = docs.iter().map(|(_, bytes)| {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            // A version byte and the key's id are the first 9 bytes, which are 12 characters of base64.
            document["api_key"].as_str().unwrap()[..12].to_owned()
        });
        sealed.collect::<BTreeSet<_>>().len()
    }

    /// Returns how the keys end that open.
    async fn opened(&self) -> Vec<String> {
        let mut options = EngineOptions::new(self.data_dir());
        options.resume = ResumePolicy::None;
        options.env.insert("OLLAMA_HOST".to_owned(), "127.0.0.1:9".to_owned());
        let engine = Engine::start(options).await.expect("the directory opens after a kill");
        let infos = engine.providers(&engine.local_owner()).await.unwrap();
        engine.stop().await;
        let stored = infos.into_iter().filter(|info| info.origin == ProviderOrigin::Stored);
        stored.filter_map(|info| info.key_end).collect()
    }
}

fn settings(number: usize) -> ProviderSettings {
    ProviderSettings {
        base_url: Some("http://127.0.0.1:9/v1".to_owned()),
        api_key: Some(Secret::new(format!("sk-a-key-to-be-kept-{number:04}"))),
        ..ProviderSettings::new(format!("p{number:02}"), ProviderKind::Openai)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_anywhere_loses_no_secret() {
    let seed = std::env::var("NINJA_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(Random::fresh_seed);
    println!("NINJA_TEST_SEED={seed}");
    let (home, mut random) = (Home(tempfile::tempdir().unwrap()), Random::new(seed));
    let (mut daemon, mut client) = home.start().await;
    for number in 0..SECRETS {
        client.put_provider(&settings(number)).await.unwrap();
    }
    let wanted: Vec<String> = (0..SECRETS).map(|number| format!("{number:04}")).collect();
    let began = Instant::now();
    client.rotate_keys(&RotateKeys::default()).await.unwrap();
    let whole = u64::try_from(began.elapsed().as_micros()).unwrap();

    let (mut halfway, mut undropped) = (0, 0);
    for kill in 0..KILLS {
        let moment = Duration::from_micros(random.below(whole * 5 / 4));
        let request = RotateKeys { drop_old: random.chance(50) };
        let rotated = tokio::select! {
            rotated = client.rotate_keys(&request) => Some(rotated),
            () = tokio::time::sleep(moment) => None,
        };
        daemon.kill().await.unwrap();
        let rotated = rotated.transpose().unwrap_or_else(|error: SdkError| panic!("kill {kill}: {error}"));
        assert!(rotated.as_ref().is_none_or(|rotated| rotated.unopened.is_empty()), "kill {kill}: {rotated:?}");
        halfway += usize::from(home.sealed_with() > 1);
        undropped += usize::from(rotated.is_none() && request.drop_old && home.ring() > 1);
        assert_eq!(home.opened().await, wanted, "kill {kill}");
        (daemon, client) = home.start().await;
    }
    assert!(halfway > 0, "no kill fell between two secrets: the test shows nothing");
    assert!(undropped > 0, "no kill fell before older keys were dropped: the test shows nothing");
    let last = client.rotate_keys(&RotateKeys { drop_old: true }).await.unwrap();
    assert_eq!((last.resealed, last.unopened.len(), last.keys), (SECRETS as u64 + 1, 0, 1), "{last:?}");
    assert!(daemon.terminate().await.unwrap().success());
    assert_eq!((home.sealed_with(), home.ring(), home.opened().await), (1, 1, wanted));
}
