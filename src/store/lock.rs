//! One process dispatches from a SQLite store: whoever holds the lock on `<file>.lock`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};

use super::{Result, Store, StoreError};

/// Held as long as it lives.
#[derive(Debug)]
pub struct DispatchLock {
    _file: File,
}

impl Store {
    /// Takes the right to dispatch, for `what` (such as `serve`).
    ///
    /// # Errors
    /// `Refused`, naming who holds it, when another process dispatches from this store.
    pub fn lock_dispatch(&self, what: &str) -> Result<DispatchLock> {
        let mut path = self.file().as_os_str().to_owned();
        path.push(".lock");
        let path = std::path::PathBuf::from(path);
        let refused = |detail: String| StoreError::Refused(format!("{}: {detail}", path.display()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| refused(error.to_string()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(refused(format!(
                    "another process dispatches from this store ({}); stop it first",
                    holder.trim()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(refused(error.to_string())),
        }
        let holder = format!("tidings {what}, process {}", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(|error| refused(error.to_string()))?;
        Ok(DispatchLock { _file: file })
    }
}
