//! The one place that knows bincode.
//!
//! bincode because the project's brief names it; 2.0.1 is its last working version. A limit
//! is always set: without one, nine hostile bytes that claim a huge length abort the whole
//! process inside the allocator. Every function here treats its input as hostile data.

use serde::{Serialize, de::DeserializeOwned};

/// No encoded value is larger than this many bytes, and no decoder allocates more.
pub const ENCODED_SIZE_MAX: usize = 8 * 1024;

/// Why bytes could not be encoded or decoded. Nothing is left behind on failure.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes are not such a value.
    #[error("malformed bytes: {0}")]
    Malformed(#[from] bincode::error::DecodeError),
    /// The value is too large.
    #[error("cannot encode: {0}")]
    Unencodable(#[from] bincode::error::EncodeError),
    /// A value was read, and then something was left over.
    #[error("{0} surplus bytes after the value")]
    Surplus(usize),
}

type Format = bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<ENCODED_SIZE_MAX>,
>;

const FORMAT: Format = bincode::config::standard().with_limit::<ENCODED_SIZE_MAX>();

/// Appends `value` to `buffer`.
///
/// # Errors
/// [`CodecError::Unencodable`] if it is larger than [`ENCODED_SIZE_MAX`].
pub fn encode_into<T: Serialize>(value: &T, buffer: &mut Vec<u8>) -> Result<(), CodecError> {
    bincode::serde::encode_into_std_write(value, buffer, FORMAT)?;
    Ok(())
}

/// Reads one value from the front of `bytes` and says how many bytes it took.
///
/// # Errors
/// [`CodecError::Malformed`] if `bytes` does not start with such a value.
pub fn decode_front<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), CodecError> {
    Ok(bincode::serde::decode_from_slice(bytes, FORMAT)?)
}

/// Reads one value that `bytes` must consist of, whole.
///
/// # Errors
/// [`CodecError::Malformed`], or [`CodecError::Surplus`] if anything follows the value.
pub fn decode_whole<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = decode_front(bytes)?;
    match bytes.len() - used {
        0 => Ok(value),
        surplus => Err(CodecError::Surplus(surplus)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use super::*;
    use crate::vocabulary::metadata::{Metadata, TAG_KEY_MAX, TAG_VALUE_MAX, TAGS_MAX, Tags};
    use crate::vocabulary::node_name::{NAME_MAX, NodeName};

    #[test]
    fn what_others_claim_is_held_to_the_same_limits() {
        let wrong = [
            BTreeMap::from([("k".repeat(TAG_KEY_MAX + 1), "v".to_owned())]),
            BTreeMap::from([("k".to_owned(), "v".repeat(TAG_VALUE_MAX + 1))]),
            BTreeMap::from([("k".to_owned(), "\u{1b}[2J".to_owned())]),
            (0..=TAGS_MAX).map(|number| (format!("k{number}"), "v".to_owned())).collect(),
        ];
        for tags in wrong {
            let mut bytes = Vec::new();
            encode_into(&(None::<SocketAddr>, &tags, None::<&str>), &mut bytes).unwrap();
            assert!(decode_whole::<Metadata>(&bytes).is_err(), "{tags:?}");
        }
        for name in [String::new(), "n".repeat(NAME_MAX + 1), "a b".to_owned(), "\u{1b}".to_owned()]
        {
            let mut bytes = Vec::new();
            encode_into(&(None::<SocketAddr>, Tags::default(), Some(&name)), &mut bytes).unwrap();
            assert!(decode_whole::<Metadata>(&bytes).is_err(), "{name:?}");
        }
        let mut bytes = Vec::new();
        let name = NodeName::new("db-2").ok();
        let metadata = Metadata { http: None, tags: Tags::parse(["a=1"]).unwrap(), name };
        encode_into(&metadata, &mut bytes).unwrap();
        assert_eq!(decode_whole::<Metadata>(&bytes).unwrap(), metadata);
    }
}
