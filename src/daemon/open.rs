//! Opening the store at a start (`delivery_semantics` §16.1, 2): a damaged one is set aside, and the newest good backup
//! takes its place.

use std::path::Path;

use tracing::error;

use crate::core::time::Instant;
use crate::store::sqlite::{self, SqliteStore};
use crate::store::{SqliteConfig, StoreError};

/// Opens the store of `config`. Says by [`crate::store::Store::restored`] when it is a backup.
///
/// # Errors
/// It cannot be opened; or it is damaged, and there is no good backup: then nothing has changed.
pub fn open_store(config: &SqliteConfig, now: Instant) -> Result<SqliteStore, StoreError> {
    let damage = match SqliteStore::open(&config.path, config.options()) {
        Err(e @ StoreError::Damaged { .. }) => e,
        opened => return opened,
    };
    error!(error = %damage, "the store is damaged: the newest good backup takes its place");
    let restored =
        sqlite::restore_newest(&config.path, &config.backups_folder(), now).map_err(|e| match (e, damage) {
            (
                StoreError::Damaged { reason: none, .. },
                StoreError::Damaged { place, reason },
            ) => StoreError::Damaged {
                place,
                reason: format!(
                    "{reason}; {none}. Put a good copy in its place, or move it away together with its -wal and .lock \
                     to begin with an empty store"
                ),
            },
            (e, _) => e,
        })?;
    error!(
        backup = %restored.from.display(),
        aside = restored.aside.as_deref().map(|p| p.display().to_string()).unwrap_or_default(),
        passed_over = restored.passed_over.len(),
        "the store was restored",
    );
    SqliteStore::open(&config.path, config.options())
}

/// Nothing has been kept at `path` so far: an installation key may be made for it.
pub fn is_new(path: &Path) -> bool {
    !path.exists() && !sqlite::lock_path(path).exists()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::model::Batch;
    use crate::daemon::blueprint::meta;
    use crate::daemon::reload::stored;
    use crate::store::Store;

    /// A damaged store, and one that is gone, come back as the newest good backup, which says what it is; without a
    /// backup nothing is touched.
    #[tokio::test]
    async fn a_damaged_store_comes_back_as_its_newest_good_backup() {
        let folder = tempfile::tempdir().unwrap();
        let config = SqliteConfig { path: folder.path().join("a.db"), ..SqliteConfig::default() };
        let desk: Arc<str> = "desk".into();
        let at = |hours: i64| Instant::from_secs(1_800_000_000 + hours * 3600);
        assert!(is_new(&config.path));
        let keep = async |store: &SqliteStore, n: u64| {
            let rows = vec![meta("epoch", &serde_json::json!({ "epoch": n }))];
            store.commit(&desk, Batch { rows, audit: Vec::new() }).await.unwrap();
        };
        let spoil = |config: &SqliteConfig| {
            let length = std::fs::metadata(&config.path).unwrap().len();
            std::fs::write(&config.path, vec![0x5a; length as usize]).unwrap();
        };
        let store = open_store(&config, at(0)).unwrap();
        assert!(!is_new(&config.path));
        keep(&store, 1).await;
        store.close().await.unwrap();
        drop(store);
        let whole = std::fs::read(&config.path).unwrap();
        spoil(&config);
        let spoiled = std::fs::read(&config.path).unwrap();
        let error = open_store(&config, at(1)).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("there is no good backup"), "{error}");
        assert_eq!(std::fs::read(&config.path).unwrap(), spoiled, "nothing was touched");
        std::fs::write(&config.path, whole).unwrap();
        // With a backup, and a newer one that is no good.
        let store = open_store(&config, at(2)).unwrap();
        let file = store.backup(&config.backups_folder(), 7, at(2)).await.unwrap().unwrap();
        keep(&store, 2).await;
        let bad = store.backup(&config.backups_folder(), 7, at(3)).await.unwrap().unwrap();
        store.close().await.unwrap();
        drop(store);
        std::fs::write(bad, "no store").unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        assert_eq!(sqlite::made_at(name), Some(at(2)));
        for damage in ["spoiled", "gone"] {
            match damage {
                "spoiled" => spoil(&config),
                _ => std::fs::remove_file(&config.path).unwrap(),
            }
            assert!(!is_new(&config.path), "its lock says that something was kept");
            let store = open_store(&config, at(4)).unwrap();
            assert_eq!(store.restored().as_deref(), Some(name), "{damage}");
            let epoch = stored(&store, &desk, "epoch").await.unwrap().unwrap();
            assert_eq!(epoch["epoch"], 1, "{damage}: as it was then");
            store.forget_restored().await.unwrap();
            store.close().await.unwrap();
            drop(store);
            assert_eq!(open_store(&config, at(5)).unwrap().restored(), None);
        }
        let aside = std::fs::read_dir(folder.path()).unwrap().flatten();
        let aside = aside.filter(|e| e.file_name().to_string_lossy().contains(".damaged-")).count();
        assert!(aside >= 1, "what was damaged can be looked at");
    }
}
