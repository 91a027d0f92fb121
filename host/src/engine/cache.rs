//! Where compiled code is kept between runs. It is code that we will run, so the folder must be
//! one that nobody else can write to.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use wasmtime::{Cache, CacheConfig};

use super::EngineError;

const MEND: &str = "name another folder with `--cache DIR`, or none with `--no-cache`";

/// The folder for the user who runs this: `$XDG_CACHE_HOME/klaxon`, else `$HOME/.cache/klaxon`
/// (XDG Base Directory Specification); none where neither is set.
pub fn default_directory() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let cache = of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")))?;
    Some(cache.join("klaxon").join("compiled"))
}

/// Opens the cache in a folder, which is made with access for its owner only.
pub(super) fn open(directory: &Path) -> Result<Cache, EngineError> {
    let refuse = |why: String| EngineError::Cache { path: directory.to_owned(), why, mend: MEND };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|fault| refuse(fault.to_string()))?;
    let found = fs::metadata(directory).map_err(|fault| refuse(fault.to_string()))?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(refuse("it belongs to another user".to_owned()));
    }
    if found.permissions().mode() & 0o022 != 0 {
        return Err(refuse("others may write to it".to_owned()));
    }
    let mut config = CacheConfig::new();
    config.with_directory(directory);
    Cache::new(config).map_err(|fault| refuse(format!("{fault:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open_to_all = folder.path().join("open");
        fs::create_dir(&open_to_all).unwrap();
        fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o777)).unwrap();
        let fault = open(&open_to_all).unwrap_err().to_string();
        assert!(fault.contains("others may write to it"), "{fault}");
        assert!(open(&folder.path().join("own")).is_ok());
    }
}
