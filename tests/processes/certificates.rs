//! Certificates for the tests of TLS, good and bad, made when they are needed.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// A year that no machine's clock is in.
pub(crate) const FAR: i32 = 2999;

/// Signs the certificates of nodes.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    /// A new one, whose certificate is in this file.
    pub(crate) fn new(file: &Path) -> Self {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(file, issuer.pem()).unwrap();
        Self { issuer, file: file.to_owned() }
    }

    pub(crate) fn file(&self) -> &str {
        self.file.to_str().unwrap()
    }

    /// Writes a certificate for these names, until that year, and its key, beside the authority's.
    pub(crate) fn certify(&self, names: &[&str], until: i32) -> [String; 2] {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        let folder = self.file.parent().unwrap();
        let files = [folder.join("node.pem"), folder.join("node.key")];
        for (file, text) in files.iter().zip([own.pem(), key.serialize_pem()]) {
            std::fs::write(file, text).unwrap();
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        files.map(|file| file.to_str().unwrap().to_owned())
    }
}
