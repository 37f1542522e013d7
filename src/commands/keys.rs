//! `gaggle keygen`: a new key for a key file, as [`crate::config::key_file`] reads it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::arguments::KeygenArguments;
use super::{CommandError, Exit, entropy, print};
use crate::config::key_file::KeyFileError;

/// Makes a new key: printed, or written to a file that only its owner reads.
pub(super) fn keygen(arguments: &KeygenArguments) -> Result<Exit, CommandError> {
    let secret = Zeroizing::new(entropy()?);
    let line = Zeroizing::new(STANDARD.encode(*secret) + "\n");
    let Some(file) = &arguments.output else {
        print(&line)?;
        return Ok(Exit::Done);
    };
    write_new(file, &line).map_err(|source| KeyFileError::Write { file: file.clone(), source })?;
    Ok(Exit::Done)
}

fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut opened = options.write(true).create_new(true).mode(0o600).open(file)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::key_file;

    #[test]
    fn a_new_key_is_its_owners_alone_and_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let arguments = KeygenArguments { output: Some(file.clone()) };
        keygen(&arguments).unwrap();
        let (ring, warning) = key_file::read(&file).unwrap();
        assert_eq!((ring.hints().len(), warning), (1, None));
        let error = keygen(&arguments).unwrap_err().to_string();
        assert!(error.contains("name a file that does not exist yet"), "{error}");
        for (mode, is_open) in [(0o640, false), (0o644, true), (0o660, true)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let (again, warning) = key_file::read(&file).unwrap();
            assert_eq!(again, ring);
            assert_eq!(warning.is_some_and(|it| it.contains("): chmod 600")), is_open, "{mode:o}");
        }
    }
}
