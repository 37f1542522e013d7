//! The client's side of TLS: whom it trusts, and in words why a node was not believed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};

use crate::config::http_tls::provider;

/// Why nobody can be trusted as was asked for. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum CaFileError {
    /// It cannot be read.
    #[error("--ca: {} cannot be read: {source}: name a PEM file", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error(
        "--ca: {} holds no certificate of an authority: write it there in PEM",
        file.display()
    )]
    NoCertificate {
        /// Which file.
        file: PathBuf,
    },
}

/// Why TLS was not agreed upon.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// Something else than TLS came back.
    #[error("no TLS is spoken there: ask by http:// in the place of https://")]
    NotSpoken,
    /// Its certificate is of an authority that is not trusted.
    #[error(
        "its certificate is of no authority that {0} names: give the file with the certificate of the \
         right one by --ca FILE"
    )]
    UnknownAuthority(Trusted),
    /// Its certificate is for others.
    #[error(
        "its certificate is not for {asked}, but for {names}: ask it by one of these, or give the node a \
         certificate for {asked}"
    )]
    WrongName {
        /// How we asked for it.
        asked: String,
        /// For whom it is.
        names: String,
    },
    /// Its certificate is too old.
    #[error(
        "its certificate has expired{since}: renew it there, and have the node read it by SIGHUP. If it \
         has not, this machine's clock is wrong"
    )]
    Expired {
        /// For how long, in words.
        since: String,
    },
    /// Its certificate is too new.
    #[error("its certificate is not valid yet: one of the two machines' clocks is wrong")]
    NotValidYet,
    /// Anything else.
    #[error("TLS fails ({0}): look at its certificate with `openssl s_client -connect HOST:PORT`")]
    Other(String),
}

/// Whose word is taken for which certificate is whose.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust(Option<(PathBuf, Arc<RootCertStore>)>);

/// The same in words.
#[derive(Clone, Debug)]
pub enum Trusted {
    /// That file.
    File(PathBuf),
    /// Nobody has named one.
    System,
}

impl fmt::Display for Trusted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(formatter, "{}", file.display()),
            Self::System => formatter.write_str("this machine"),
        }
    }
}

impl Trust {
    /// In the authorities of `file`, or else in those of the operating system.
    pub(super) fn of(file: Option<&Path>) -> Result<Self, CaFileError> {
        let Some(file) = file else { return Ok(Self(None)) };
        let text = std::fs::read(file)
            .map_err(|source| CaFileError::Read { file: file.to_owned(), source })?;
        let mut roots = RootCertStore::empty();
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let added = found.is_ok_and(|found| {
            !found.is_empty() && found.into_iter().all(|one| roots.add(one).is_ok())
        });
        if !added {
            return Err(CaFileError::NoCertificate { file: file.to_owned() });
        }
        Ok(Self(Some((file.to_owned(), Arc::new(roots)))))
    }

    fn words(&self) -> Trusted {
        self.0.as_ref().map_or(Trusted::System, |(file, _)| Trusted::File(file.clone()))
    }

    /// Those of the system are read when they are needed: most nodes are asked without TLS.
    async fn roots(&self) -> Arc<RootCertStore> {
        if let Some((_, roots)) = &self.0 {
            return Arc::clone(roots);
        }
        let read = || {
            let mut roots = RootCertStore::empty();
            // What it cannot read is missing, and then nobody is trusted.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        };
        let read = tokio::task::spawn_blocking(read).await;
        Arc::new(read.unwrap_or_else(|_| RootCertStore::empty()))
    }

    /// Agrees on TLS with whoever is at the other end of `stream`, and has it show that it is `host`.
    pub(super) async fn handshake(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsFault> {
        let other = |error: &dyn fmt::Display| TlsFault::Other(error.to_string());
        let name = ServerName::try_from(host.to_owned()).map_err(|error| other(&error))?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| other(&error))?;
        let roots = self.roots().await;
        let mut client = builder.with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connecting = TlsConnector::from(Arc::new(client)).connect(name, stream);
        connecting.await.map_err(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match inner {
                Some(reason) => self.fault(host, reason),
                None => other(&error),
            }
        })
    }

    fn fault(&self, host: &str, reason: &rustls::Error) -> TlsFault {
        use CertificateError as Reason;
        let reason = match reason {
            rustls::Error::InvalidMessage(_) => return TlsFault::NotSpoken,
            rustls::Error::InvalidCertificate(reason) => reason,
            other => return TlsFault::Other(other.to_string()),
        };
        match reason {
            // By an authority of the same name, and another key: one that was made anew.
            Reason::UnknownIssuer | Reason::BadSignature => {
                TlsFault::UnknownAuthority(self.words())
            }
            Reason::NotValidForNameContext { presented, .. } => {
                let names: Vec<_> = presented.iter().map(|name| plain(name)).collect();
                let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
                TlsFault::WrongName { asked: host.to_owned(), names }
            }
            Reason::NotValidForName => {
                TlsFault::WrongName { asked: host.to_owned(), names: "others".to_owned() }
            }
            Reason::ExpiredContext { time, not_after } => {
                let seconds = time.as_secs().saturating_sub(not_after.as_secs());
                TlsFault::Expired { since: format!(" {}", ago(seconds)) }
            }
            Reason::Expired => TlsFault::Expired { since: String::new() },
            Reason::NotValidYet | Reason::NotValidYetContext { .. } => TlsFault::NotValidYet,
            other => TlsFault::Other(other.to_string()),
        }
    }
}

/// A name of a certificate as people write it: the library writes `DnsName("a.example")`.
fn plain(name: &str) -> String {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"').to_owned()
}

/// How long ago something was, roughly.
fn ago(seconds: u64) -> String {
    match seconds {
        0..=7199 => format!("{} minutes ago", seconds / 60),
        7200..=172_799 => format!("{} hours ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86400),
    }
}
