//! The cache folder for compiled code. The host runs this code, so no other user may write to the folder or
//! replace it.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use wasmtime::{Cache, CacheConfig};

use super::EngineError;

const HINT: &str = "name a folder with `--cache DIR` that only its owner may change, in folders of which that is true too, or none with `--no-cache`";

/// Returns the current user's cache folder: `$XDG_CACHE_HOME/klaxon/compiled`, else
/// `$HOME/.cache/klaxon/compiled` (XDG Base Directory Specification); `None` if neither variable is set.
pub fn default_directory() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let cache = of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")))?;
    Some(cache.join("klaxon").join("compiled"))
}

/// Opens the cache in a folder, creating it with access for its owner only.
pub(super) fn open(directory: &Path) -> Result<Cache, EngineError> {
    let refuse = |why: String| EngineError::Cache { path: directory.to_owned(), why, hint: HINT };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| refuse(error.to_string()))?;
    // Resolved, as symbolic links may be changed after the check.
    let folder = directory.canonicalize().map_err(|error| refuse(error.to_string()))?;
    for parent in folder.ancestors().skip(1) {
        check(parent, true).map_err(|why| refuse(format!("{}: {why}", parent.display())))?;
    }
    check(&folder, false).map_err(refuse)?;
    let mut config = CacheConfig::new();
    config.with_directory(&folder);
    Cache::new(config).map_err(|error| refuse(format!("{error:#}")))
}

/// Checks that only the current user or root controls the contents of a folder. In a parent with the sticky
/// bit, such as `/tmp`, other users may add files but not move ours. The group of a parent may write to it if
/// it is the owner's private group, which has the same number as the owner.
fn check(folder: &Path, is_parent: bool) -> Result<(), String> {
    const STICKY: u32 = 0o1000;
    const GROUP_WRITES: u32 = 0o020;
    const OTHERS_WRITE: u32 = 0o002;
    let found = fs::metadata(folder).map_err(|error| error.to_string())?;
    let (owner, mode) = (found.uid(), found.permissions().mode());
    let is_ours = owner == rustix::process::geteuid().as_raw();
    let is_trusted = is_ours || is_parent && owner == 0;
    if !is_trusted {
        return Err("it belongs to another user".to_owned());
    }
    let is_private_group = is_parent && is_ours && found.gid() == owner;
    let by_group = mode & GROUP_WRITES != 0 && !is_private_group;
    if (by_group || mode & OTHERS_WRITE != 0) && !(is_parent && mode & STICKY != 0) {
        return Err("others may write to it".to_owned());
    }
    Ok(())
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
        let error = open(&open_to_all).unwrap_err().to_string();
        assert!(error.contains("others may write to it"), "{error}");
        assert!(open(&folder.path().join("own")).is_ok());
    }
    #[test]
    fn a_folder_in_one_that_others_may_write_to_is_refused_unless_that_is_sticky() {
        let outer = tempfile::tempdir().unwrap();
        let parent = outer.path().join("shared");
        let folder = parent.join("own").join("compiled");
        fs::create_dir(&parent).unwrap();
        for (mode, is_refused) in [(0o777, true), (0o757, true), (0o1777, false), (0o755, false)] {
            fs::set_permissions(&parent, fs::Permissions::from_mode(mode)).unwrap();
            let error = open(&folder).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), is_refused, "{mode:o}: {error:?}");
            if let Some(error) = error {
                assert!(error.contains("shared: others may write to it"), "{error}");
                assert!(error.contains("hint: "), "{error}");
            }
        }
        // A link is resolved first: the folder in use is the one that was checked.
        let link = outer.path().join("link");
        std::os::unix::fs::symlink(&parent, &link).unwrap();
        fs::set_permissions(&parent, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(open(&link.join("own").join("compiled")).is_err());
    }
}
