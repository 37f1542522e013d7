//! Key files: one key per line, base64 or hexadecimal, `#` before a comment. The first key
//! seals, all open.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::wire::seal::{KEY_SIZE, KeyRing, KeyRingError};

/// A key file that is longer is something else.
const FILE_SIZE_MAX: u64 = 16 * 1024;

/// Why there are no keys. Key material is never part of the message.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum KeyFileError {
    #[error("the key file {} cannot be read: {source}: make one with `gaggle keygen --output {}`", file.display(), file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("the key file {} is no key file: it is longer than {FILE_SIZE_MAX} bytes: name one that `gaggle keygen` made", file.display())]
    TooLong { file: PathBuf },
    #[error(
        "the key file {}, line {line}: this is no key: write {KEY_SIZE} bytes in base64 or \
         hexadecimal, as `gaggle keygen` does",
        file.display()
    )]
    Line { file: PathBuf, line: usize },
    #[error("the key file {}: {reason}", file.display())]
    Ring { file: PathBuf, reason: KeyRingError },
    #[error("cannot write the key to {}: {source}: name a file that does not exist yet", file.display())]
    Write { file: PathBuf, source: std::io::Error },
}

/// The keys in `file`, and a warning if others on this machine can read it.
///
/// # Errors
/// As [`KeyFileError`] says.
pub fn read(file: &Path) -> Result<(KeyRing, Option<String>), KeyFileError> {
    let failure = |source| KeyFileError::Read { file: file.to_owned(), source };
    let opened = File::open(file).map_err(failure)?;
    let mode = opened.metadata().map_err(failure)?.permissions().mode() & 0o777;
    let mut text = Zeroizing::new(String::new());
    opened.take(FILE_SIZE_MAX + 1).read_to_string(&mut text).map_err(failure)?;
    if text.len() as u64 > FILE_SIZE_MAX {
        return Err(KeyFileError::TooLong { file: file.to_owned() });
    }
    // A group of its own is how a service reads what root has made.
    let warning = (mode & 0o137 != 0).then(|| {
        let file = file.display();
        format!("the key file {file} is open to others (mode {mode:04o}): chmod 600 {file}")
    });
    Ok((parse(file, &text)?, warning))
}

fn parse(file: &Path, text: &str) -> Result<KeyRing, KeyFileError> {
    let mut keys = Zeroizing::new(Vec::new());
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            let malformed = || KeyFileError::Line { file: file.to_owned(), line: number + 1 };
            keys.push(key(line).ok_or_else(malformed)?);
        }
    }
    let ring = KeyRing::new(std::mem::take(&mut *keys));
    ring.map_err(|reason| KeyFileError::Ring { file: file.to_owned(), reason })
}

/// 64 hexadecimal digits, or base64: no text is both, for 32 bytes are 44 digits of that.
fn key(text: &str) -> Option<[u8; KEY_SIZE]> {
    let bytes = if text.len() == 2 * KEY_SIZE {
        let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let digits = text.bytes().all(|digit| digit.is_ascii_hexdigit());
        (0..text.len()).step_by(2).map(pair).collect::<Option<Vec<u8>>>().filter(|_| digits)?
    } else {
        STANDARD.decode(text).ok()?
    };
    Zeroizing::new(bytes).as_slice().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<KeyRing, String> {
        parse(Path::new("keys"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_read_in_both_spellings_among_comments() {
        let secret = [0xa5; KEY_SIZE];
        let hexadecimal = "A5a5".repeat(16);
        let expected = KeyRing::new(vec![secret, [1; KEY_SIZE]]).unwrap();
        let text = format!("# ours\n\n {hexadecimal} # new\n{}\n", STANDARD.encode([1; KEY_SIZE]));
        assert_eq!(parsed(&text), Ok(expected));
    }

    #[test]
    fn what_is_no_key_is_refused_by_its_line_and_never_shown() {
        let good = STANDARD.encode([1; KEY_SIZE]);
        for wrong in ["secret", &good[..40], &"+1".repeat(32), &"ä".repeat(32)] {
            let text = parsed(&format!("{good}\n{wrong}\n")).unwrap_err();
            assert!(text.starts_with("the key file keys, line 2: this is no key"), "{text}");
            assert!(!text.contains(wrong), "{text}");
        }
        assert!(parsed("# none\n").unwrap_err().contains("there is no key"));
        assert!(parsed(&format!("{good}\n{good}")).unwrap_err().contains("key 2 is there already"));
    }
}
