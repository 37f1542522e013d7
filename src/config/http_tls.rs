//! The certificate and the key by which HTTP is served over TLS: two PEM files, read and judged
//! together, and exchanged while a node runs.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, CertificateError, RootCertStore, ServerConfig};
use zeroize::Zeroizing;

/// A PEM file that is longer is something else.
const FILE_SIZE_MAX: u64 = 256 * 1024;
/// Whose certificate expires sooner hears of it: two weeks, as long as somebody may be away.
pub const EXPIRY_NOTICE: Duration = Duration::from_secs(14 * DAY);
/// A day, in seconds.
pub const DAY: u64 = 24 * 60 * 60;
/// The beginning of that year, in seconds since 1970: the last that certificates know.
const YEAR_9999: u64 = 253_370_764_800;
/// What HTTP is called when TLS agrees on a protocol.
const PROTOCOL: &[u8] = b"http/1.1";

/// Why HTTP cannot be served over TLS with what was named. The key is never part of the message.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TlsFileError {
    #[error(
        "--{key}: {} cannot be read: {source}: name a PEM file that the node's user can read",
        file.display()
    )]
    Read { key: &'static str, file: PathBuf, source: std::io::Error },
    #[error(
        "--http-tls-cert: {} holds no certificate: write it there in PEM, and below it those that \
         lead to its authority",
        file.display()
    )]
    NoCertificate { file: PathBuf },
    #[error(
        "--http-tls-key: {} holds no private key: write it there in PEM, without a pass phrase",
        file.display()
    )]
    NoKey { file: PathBuf },
    #[error(
        "the certificate in {} and the key in {} are of no use together: {reason}. Give a \
         certificate and the key that it was made for",
        certificate.display(),
        key.display()
    )]
    Pair { certificate: PathBuf, key: PathBuf, reason: String },
}

impl TlsFileError {
    /// The settings that are to blame.
    pub(super) fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Read { key: "http-tls-key", .. } | Self::NoKey { .. } => &["http-tls-key"],
            Self::Read { .. } | Self::NoCertificate { .. } => &["http-tls-cert"],
            Self::Pair { .. } => &["http-tls-cert", "http-tls-key"],
        }
    }
}

/// What a server needs to speak TLS. Clones are one: a pair that is put in the place of another is
/// used by all of them, from the next connection on.
#[derive(Clone)]
pub struct HttpTls(Arc<RwLock<Pair>>);

#[derive(Clone)]
struct Pair {
    server: Arc<ServerConfig>,
    /// The node's own certificate first.
    chain: Vec<CertificateDer<'static>>,
    /// When that ends, in seconds since 1970, if it does.
    expires: Option<u64>,
}

impl fmt::Debug for HttpTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HttpTls(…)")
    }
}

impl HttpTls {
    /// The pair in these files, and what is unwise about it.
    ///
    /// # Errors
    /// As [`TlsFileError`] says.
    pub fn read(certificate: &Path, key: &Path) -> Result<(Self, Vec<String>), TlsFileError> {
        let (text, _) = read("http-tls-cert", certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain =
            chain.ok_or_else(|| TlsFileError::NoCertificate { file: certificate.to_owned() })?;
        let (text, mode) = read("http-tls-key", key)?;
        let secret = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|_| TlsFileError::NoKey { file: key.to_owned() })?;
        let server = server(chain.clone(), secret).map_err(|reason| TlsFileError::Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            reason: reason.to_string(),
        })?;
        let pair = Pair { server, expires: end(&chain), chain };
        let mut warnings: Vec<String> = expiry(&pair, certificate).into_iter().collect();
        // A group of its own is how several services share a key.
        if mode & 0o007 != 0 {
            let file = key.display();
            warnings.push(format!(
                "the TLS key file {file} is open to others (mode {mode:04o}): chmod o= {file}"
            ));
        }
        Ok((Self(Arc::new(RwLock::new(pair))), warnings))
    }

    /// How the next connection is served.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).server)
    }

    /// When the certificate ends, in seconds since 1970, if it does.
    pub fn expires(&self) -> Option<u64> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).expires
    }

    /// Whether both show the same certificate. A certificate is made for one key.
    pub fn is_same(&self, other: &Self) -> bool {
        self.chain() == other.chain()
    }

    /// The pair of `fresh` is used from the next connection on; those that are open go on.
    pub fn replace(&self, fresh: &Self) {
        let pair = fresh.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pair;
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).chain.clone()
    }
}

/// The whole of a file, and its mode.
fn read(key: &'static str, file: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), TlsFileError> {
    let failure = |source| TlsFileError::Read { key, file: file.to_owned(), source };
    let opened = File::open(file).map_err(failure)?;
    let mode = opened.metadata().map_err(failure)?.permissions().mode() & 0o777;
    let mut text = Zeroizing::new(Vec::new());
    opened.take(FILE_SIZE_MAX + 1).read_to_end(&mut text).map_err(failure)?;
    if text.len() as u64 > FILE_SIZE_MAX {
        let reason = format!("it is longer than {FILE_SIZE_MAX} bytes");
        return Err(failure(std::io::Error::new(std::io::ErrorKind::FileTooLarge, reason)));
    }
    Ok((text, mode))
}

/// The cryptography of this program, named and not found: another library may bring its own.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut server = builder.with_single_cert(chain, key)?;
    server.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(server))
}

/// A warning, if the certificate has expired or soon will.
fn expiry(pair: &Pair, file: &Path) -> Option<String> {
    let (now, file) = (UnixTime::now(), file.display());
    let left = pair.expires.map(|expires| expires.saturating_sub(now.as_secs()));
    match left.map(Duration::from_secs) {
        Some(Duration::ZERO) => {
            return Some(format!(
                "the TLS certificate in {file} has expired: clients refuse it. Renew it, and send SIGHUP"
            ));
        }
        Some(left) if left < EXPIRY_NOTICE => {
            let days = left.as_secs() / DAY;
            return Some(format!(
                "the TLS certificate in {file} expires in {days} days: renew it, and send SIGHUP"
            ));
        }
        _ => {}
    }
    let is_early = matches!(
        validity(&pair.chain, now),
        Some(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. })
    );
    is_early.then(|| {
        format!(
            "the TLS certificate in {file} is not valid yet: look to this machine's clock, or give \
             another"
        )
    })
}

/// When the first certificate ends, in seconds since 1970.
fn end(chain: &[CertificateDer<'static>]) -> Option<u64> {
    // Whoever looks at it then is told when it ended.
    let far = UnixTime::since_unix_epoch(Duration::from_secs(YEAR_9999));
    match validity(chain, far) {
        Some(CertificateError::ExpiredContext { not_after, .. }) => Some(not_after.as_secs()),
        _ => None,
    }
}

/// What a client would find wrong with the first certificate at this time, whomever it trusts: a
/// certificate's dates are looked at before its authority, so that any will do.
fn validity(chain: &[CertificateDer<'static>], at: UnixTime) -> Option<CertificateError> {
    let (own, others) = chain.split_first()?;
    let mut roots = RootCertStore::empty();
    roots.add(own.clone()).ok()?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    let verifier = verifier.build().ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    match verifier.verify_server_cert(own, others, &name, &[], at) {
        Err(rustls::Error::InvalidCertificate(reason)) => Some(reason),
        _ => None,
    }
}
