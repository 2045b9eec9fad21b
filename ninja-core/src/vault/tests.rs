//! Sealing, opening, and everything that can be wrong with keys.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::*;
use crate::api::{ErrorCode, Secret};

const PLACE: Place<'_> = Place {
    owner: "installation",
    record: "provider/openai",
    field: "api_key",
    bound_to: &["openai", "https://gateway.example/v1"],
};
const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn env<const N: usize>(variables: [(&str, &str); N]) -> BTreeMap<String, String> {
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn vault(folder: &Path) -> Vault {
    Vault::find(&BTreeMap::new(), None, folder).unwrap()
}

fn secret() -> Secret {
    Secret::new("sk-canary-0123456789")
}

fn file_with(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("keys");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Returns it with other bytes, at `index` of what is stored.
fn flipped(sealed: &Sealed, index: usize) -> Result<Sealed, serde_json::Error> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text: String = serde_json::from_value(serde_json::to_value(sealed).unwrap()).unwrap();
    let mut bytes = STANDARD.decode(text).unwrap();
    bytes[index] ^= 1;
    serde_json::from_value(STANDARD.encode(bytes).into())
}

#[test]
fn what_is_sealed_opens_in_its_place_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path());
    assert_eq!((vault.newest(), fs::read_dir(folder.path()).unwrap().count()), (None, 0), "no key before it is needed");
    let sealed = vault.seal(PLACE, &secret()).unwrap();
    assert_eq!(vault.open(PLACE, &sealed), Ok(secret()));
    for elsewhere in [
        Place { owner: "user", ..PLACE },
        Place { record: "provider/other", ..PLACE },
        Place { field: "password", ..PLACE },
        Place { bound_to: &["openai", "https://elsewhere.example/v1"], ..PLACE },
        Place { bound_to: &["openai"], ..PLACE },
        Place { owner: "installationprovider/openai", record: "", ..PLACE },
    ] {
        assert_eq!(vault.open(elsewhere, &sealed), Err(VaultError::Altered), "{elsewhere:?}");
    }
    let stored = serde_json::to_string(&sealed).unwrap();
    assert_eq!(serde_json::from_str::<Sealed>(&stored).unwrap(), sealed);
    assert_ne!(vault.seal(PLACE, &secret()).unwrap(), sealed, "each time with another nonce");
    let next = self::vault(folder.path());
    assert_eq!(next.open(PLACE, &sealed), Ok(secret()), "after a restart");
    let metadata = fs::metadata(folder.path().join("vault.keys")).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.nlink()), (0o600, 1));
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["vault.keys", "vault.keys.lock"], "nothing else is left");
}

#[test]
fn no_byte_of_what_is_sealed_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path());
    let sealed = vault.seal(PLACE, &secret()).unwrap();
    let length = 1 + 8 + 24 + secret().expose().len() + 16;
    for index in 0..length {
        match flipped(&sealed, index) {
            Err(error) => assert!(index == 0 && error.to_string().contains("unknown form"), "{index}: {error}"),
            Ok(flipped) => {
                let error = vault.open(PLACE, &flipped).unwrap_err();
                let is_named = matches!(&error, VaultError::UnknownKey { .. });
                assert!(error.code() == ErrorCode::Corrupt && is_named == (1..9).contains(&index), "{index}: {error}");
            }
        }
    }
    for text in ["\"\"", "\"AQ==\"", "\"not base64\"", "5"] {
        assert!(serde_json::from_str::<Sealed>(text).is_err(), "{text}");
    }
}

#[test]
fn the_form_on_disk_stays_readable() {
    const SEALED: &str =
        "\"AUsykjCOy1eJ6DXYSWGSy5kWpGeyTWDz/5WmDnGyURcSxxGn9IlYR5Xpt6hCc2DKLb4JNhqBpcckIgZ4X2BjQhl1K01w\"";
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::find(&env([("NINJA_MASTER_KEY", HEX)]), None, folder.path()).unwrap();
    let sealed: Sealed = serde_json::from_str(SEALED).unwrap();
    assert_eq!(vault.open(PLACE, &sealed), Ok(secret()));
}

#[test]
fn the_first_source_that_there_is_counts() {
    let folder = tempfile::tempdir().unwrap();
    let configured = file_with(folder.path(), &format!("# mine\n\n{HEX}\n"));
    fs::write(folder.path().join("ninja-master-key"), format!("{BASE64}\n")).unwrap();
    let credentials = folder.path().display().to_string();
    let own = vault(folder.path());
    let sealed = own.seal(PLACE, &secret()).unwrap();
    for (variables, configured, place) in [
        (env([("NINJA_MASTER_KEY", HEX), ("CREDENTIALS_DIRECTORY", &credentials)]), None, "NINJA_MASTER_KEY"),
        (env([("CREDENTIALS_DIRECTORY", &credentials)]), None, "ninja-master-key"),
        (env([("CREDENTIALS_DIRECTORY", "/nowhere")]), Some(configured.as_path()), "/keys"),
    ] {
        let vault = Vault::find(&variables, configured, folder.path()).unwrap();
        assert_eq!(vault.newest().map(|id| id.to_string()).as_deref(), Some("4b3292308ecb5789"), "{place}");
        let error = vault.open(PLACE, &sealed).unwrap_err().to_string();
        let described = vault.describe();
        assert!(described.contains(place) && !described.contains("beside the data"), "{described}");
        assert!(error.contains(place) && error.contains(&own.newest().unwrap().to_string()), "{error}");
    }
}

#[test]
fn a_key_that_cannot_be_used_is_named_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let other = format!("0123456789abcdef:{BASE64}");
    for (text, wanted) in [
        ("", "line 1: it holds no key"),
        ("# only a comment\n", "line 1: it holds no key"),
        ("\nAAECAwQFBgcICQoLDA0ODw==", "line 2: the key has 16 bytes; a master key has 32"),
        ("sk-canary-no-base64!", "line 1: the key is neither base64 nor hex"),
        (&other, "line 1: the key is not the one that its id names"),
    ] {
        let path = file_with(folder.path(), text);
        let error = Vault::find(&BTreeMap::new(), Some(&path), folder.path()).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with(&format!("{}, {wanted}", path.display())), "{said}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    let missing = Vault::find(&BTreeMap::new(), Some(Path::new("/nowhere/keys")), folder.path()).unwrap_err();
    assert!(missing.to_string().starts_with("failed to read /nowhere/keys: "), "{missing}");
    let short = Vault::find(&env([("NINJA_MASTER_KEY", "AAEC")]), None, folder.path()).unwrap_err();
    assert_eq!(short.to_string(), "NINJA_MASTER_KEY: the key has 3 bytes; a master key has 32");
    let old = Vault::find(&env([("NINJA_MASTER_KEY_OLD", "AAEC")]), None, folder.path()).unwrap_err();
    assert!(old.to_string().starts_with("NINJA_MASTER_KEY_OLD: "), "{old}");

    let path = file_with(folder.path(), HEX);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let exposed = Vault::find(&BTreeMap::new(), Some(&path), folder.path()).unwrap_err().to_string();
    assert!(exposed.contains("can be read or written by others") && exposed.contains("chmod 600"), "{exposed}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let vault = Vault::find(&BTreeMap::new(), Some(&path), folder.path()).unwrap();
    let debug = format!("{vault:?} {:?}", vault.seal(PLACE, &secret()).unwrap());
    assert!(debug.contains("4b3292308ecb5789") && !debug.contains("AAEC") && !debug.contains("canary"), "{debug}");
}

#[test]
fn what_was_meant_and_is_not_there_is_no_reason_for_another_source() {
    let folder = tempfile::tempdir().unwrap();
    for blank in ["", " "] {
        let error = Vault::find(&env([("NINJA_MASTER_KEY", blank)]), None, folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("NINJA_MASTER_KEY: it holds no key"), "{error}");
    }
    let no_folder = file_with(folder.path(), HEX).display().to_string();
    let error = Vault::find(&env([("CREDENTIALS_DIRECTORY", &no_folder)]), None, folder.path()).unwrap_err();
    assert!(error.to_string().starts_with("failed to look for "), "{error}");
    let credentials = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/nowhere", credentials.path().join("ninja-master-key")).unwrap();
    let credentials = credentials.path().display().to_string();
    let error = Vault::find(&env([("CREDENTIALS_DIRECTORY", &credentials)]), None, folder.path()).unwrap_err();
    assert!(error.to_string().starts_with("failed to read "), "{error}");
}

#[test]
fn a_rotation_keeps_the_link_and_the_owner_of_the_file() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (path, link) = (file_with(elsewhere.path(), HEX), folder.path().join("link"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let vault = Vault::find(&BTreeMap::new(), Some(&link), folder.path()).unwrap();
    let added = vault.add_key().unwrap();
    assert_eq!((fs::read_link(&link).unwrap(), fs::symlink_metadata(&path).unwrap().is_file()), (path.clone(), true));
    assert!(fs::read_to_string(&path).unwrap().contains(&added.to_string()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "all of it is written beside the file");
    assert_eq!(file::check_owner(&path, 7, 7), Ok(()));
    let refused = file::check_owner(&path, 7, 0).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert!(refused.to_string().contains("belongs to the user 7"), "{refused}");
    // Only an administrator's tests can give a file away.
    if std::os::unix::fs::chown(&path, Some(7), None).is_ok() {
        assert!(vault.add_key().unwrap_err().to_string().contains("belongs to the user 7"));
        assert_eq!(fs::metadata(&path).unwrap().uid(), 7);
    }
}

#[test]
fn a_file_that_another_process_holds_is_waited_for_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.keys");
    let held = file::lock(&path, 1).unwrap();
    let busy = file::lock(&path, 2).unwrap_err();
    assert_eq!((busy.code(), busy.to_string().contains("vault.keys, and has been")), (ErrorCode::Conflict, true));
    assert_eq!(fs::metadata(folder.path().join("vault.keys.lock")).unwrap().mode() & 0o777, 0o600);
    drop(held);
    file::lock(&path, 1).unwrap();
}

#[test]
fn a_rotation_adds_a_key_where_a_file_came_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let early = vault(folder.path());
    let sealed = vault(folder.path()).seal(PLACE, &secret()).unwrap();
    assert_ne!(early.add_key().unwrap(), sealed.key(), "it is a new one");
    assert_eq!((early.open(PLACE, &sealed), early.key_count()), (Ok(secret()), 2));
}

#[test]
fn older_keys_open_until_they_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path());
    let first = vault.seal(PLACE, &secret()).unwrap();
    let added = vault.add_key().unwrap();
    let second = vault.seal(PLACE, &secret()).unwrap();
    assert_eq!((vault.newest(), second.key(), vault.key_count()), (Some(added), added, 2));
    assert_ne!(first.key(), added);
    for vault in [&vault, &self::vault(folder.path())] {
        assert_eq!((vault.open(PLACE, &first), vault.open(PLACE, &second)), (Ok(secret()), Ok(secret())));
    }
    assert_eq!(vault.drop_old_keys(), Ok(1));
    let gone =
        VaultError::UnknownKey { key: first.key(), place: folder.path().join("vault.keys").display().to_string() };
    assert_eq!((vault.open(PLACE, &first), vault.open(PLACE, &second)), (Err(gone), Ok(secret())));
    assert_eq!(self::vault(folder.path()).open(PLACE, &second), Ok(secret()));
}

#[test]
fn nothing_is_sealed_with_a_key_that_is_no_longer_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let first = vault(folder.path());
    first.seal(PLACE, &secret()).unwrap();
    let late = vault(folder.path());
    let added = first.add_key().unwrap();
    assert_ne!(late.seal(PLACE, &secret()).unwrap().key(), added, "what it knows is still there");
    first.drop_old_keys().unwrap();
    let sealed = late.seal(PLACE, &secret()).unwrap();
    assert_eq!((sealed.key(), late.newest(), first.open(PLACE, &sealed)), (added, Some(added), Ok(secret())));
    fs::remove_file(folder.path().join("vault.keys")).unwrap();
    let gone = late.seal(PLACE, &secret()).unwrap_err();
    assert!(gone.to_string().starts_with("failed to read "), "{gone}");
}

#[test]
fn keys_that_are_given_are_not_changed_and_old_ones_still_open() {
    let folder = tempfile::tempdir().unwrap();
    let before = Vault::find(&env([("NINJA_MASTER_KEY", HEX)]), None, folder.path()).unwrap();
    let sealed = before.seal(PLACE, &secret()).unwrap();
    let refused = before.add_key().unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert!(refused.to_string().contains("NINJA_MASTER_KEY_OLD the present one"), "{refused}");
    let new = "ff".repeat(32);
    let after = env([("NINJA_MASTER_KEY", new.as_str()), ("NINJA_MASTER_KEY_OLD", HEX)]);
    let after = Vault::find(&after, None, folder.path()).unwrap();
    assert_eq!(after.open(PLACE, &sealed), Ok(secret()));
    assert_ne!(after.seal(PLACE, &secret()).unwrap().key(), sealed.key());
    // From a variable to a file is the same.
    let own = Vault::find(&env([("NINJA_MASTER_KEY_OLD", HEX)]), None, folder.path()).unwrap();
    assert_eq!(own.open(PLACE, &sealed), Ok(secret()));
    assert_ne!(own.seal(PLACE, &secret()).unwrap().key(), sealed.key());
    own.add_key().unwrap();
    let file = fs::read_to_string(folder.path().join("vault.keys")).unwrap();
    assert!(!file.contains("4b3292308ecb5789"), "what was given is not written down: {file}");
}

#[test]
fn several_that_begin_at_once_end_with_one_ring() {
    let folder = tempfile::tempdir().unwrap();
    // What a crash left.
    fs::write(folder.path().join("vault.keys.new"), "half").unwrap();
    let vaults: Vec<Vault> = (0..8).map(|_| vault(folder.path())).collect();
    let sealed: Vec<Sealed> = std::thread::scope(|scope| {
        let threads: Vec<_> = vaults
            .iter()
            .map(|vault| {
                scope.spawn(|| {
                    vault.seal(PLACE, &secret()).unwrap();
                    vault.add_key().unwrap();
                    vault.seal(PLACE, &secret()).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let last = vault(folder.path());
    assert_eq!(last.key_count(), 9, "the first key, and one of each");
    for sealed in sealed {
        assert_eq!(last.open(PLACE, &sealed), Ok(secret()));
    }
}
