//! The certificate that the ports show. It is read again when its files change; one that cannot be used leaves the one before in place, and
//! that is said. Connections keep the certificate that they were shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::time;
use tokio_rustls::TlsAcceptor;
use utoipa::ToSchema;

use super::listener::{Stopping, stopped};
use crate::files;
use crate::identity::FileIdentity;
use crate::tls::{Identity, SHOWN_FILE, SOON_DAYS, TlsError};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How often it is said that a certificate expires.
const WARN: Duration = Duration::from_secs(24 * 3600);

/// What the files looked like, without what is in them.
type Stamps = [Option<FileIdentity>; 2];

/// How the certificate is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateStatus {
    /// The certificate's file.
    pub file: String,
    /// When the certificate expires that is shown, as RFC 3339 in UTC.
    pub expires_at: String,
    /// Whole days until then; negative where it has expired.
    pub days_left: i64,
    /// Why what is in the files now is not shown; null where it is.
    pub problem: Option<String>,
}

/// The certificate, and its files.
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    /// Where the commands find what is shown.
    shown: PathBuf,
    current: ArcSwap<Identity>,
    looks: Mutex<Looks>,
}

#[derive(Default)]
struct Looks {
    /// What is shown was read from files like this.
    taken: Option<Stamps>,
    /// What the last look saw.
    seen: Option<Stamps>,
    /// Files like this cannot be used, for this reason.
    refused: Option<(Stamps, String)>,
    /// It was said that it expires.
    warned: Option<Instant>,
}

impl Certificate {
    /// Reads the files for the first time, and leaves what is shown in the state folder.
    ///
    /// # Errors
    /// Why they cannot be used.
    pub fn open(certificate: &Path, key: &Path, state_dir: &Path) -> Result<Arc<Certificate>, TlsError> {
        let stamps = stamps(certificate, key);
        let identity = Identity::read(certificate, key)?;
        let opened = Certificate {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            shown: state_dir.join(SHOWN_FILE),
            current: ArcSwap::from_pointee(identity),
            looks: Mutex::new(Looks { taken: Some(stamps), ..Looks::default() }),
        };
        opened.leave();
        opened.warn_of_expiry();
        Ok(Arc::new(opened))
    }

    /// Looks at the files, and shows what is in them if they have changed and can be used. Unless it is to be `at_once`, two looks must have
    /// seen them alike: the certificate and its key are replaced one after the other. It may block.
    pub fn refresh(&self, at_once: bool) {
        let stamps = stamps(&self.certificate, &self.key);
        let is_due = {
            let mut looks = self.looks();
            if looks.taken == Some(stamps) {
                // What could not be used was taken back.
                looks.refused = None;
            }
            let is_known = looks.taken == Some(stamps) || looks.refused.as_ref().is_some_and(|(refused, _)| *refused == stamps);
            let is_settled = looks.seen.replace(stamps) == Some(stamps);
            !is_known && (at_once || is_settled)
        };
        if is_due {
            self.take(stamps);
        }
        self.warn_of_expiry();
    }

    fn take(&self, stamps: Stamps) {
        match Identity::read(&self.certificate, &self.key) {
            Ok(identity) => {
                let (file, expires) = (self.certificate.display(), identity.expires);
                tracing::info!(certificate = %file, %expires, "the ports show another certificate; connections stay");
                self.current.store(Arc::new(identity));
                *self.looks() = Looks { taken: Some(stamps), ..Looks::default() };
                self.leave();
            }
            Err(error) => {
                let expires = self.current.load().expires;
                tracing::error!(
                    %error, %expires,
                    "THE NEW CERTIFICATE CANNOT BE USED: the ports go on showing the one before, until it expires. Mend the files; they are looked at \
                     every {} s",
                    LOOK.as_secs()
                );
                self.looks().refused = Some((stamps, error.to_string()));
            }
        }
    }

    /// How it is doing.
    pub fn status(&self) -> CertificateStatus {
        let current = self.current.load();
        CertificateStatus {
            file: self.certificate.display().to_string(),
            expires_at: current.expires.to_string(),
            days_left: current.days_left(),
            problem: self.looks().refused.as_ref().map(|(_, reason)| reason.clone()),
        }
    }

    /// Agrees on TLS with a client, by what is shown now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().server))
    }

    /// Leaves what is shown where the commands find it.
    fn leave(&self) {
        if let Err(error) = files::write_whole(&self.shown, &self.current.load().leaf) {
            tracing::warn!(path = %self.shown.display(), %error, "cannot keep the certificate for the commands that ask this daemon");
        }
    }

    fn warn_of_expiry(&self) {
        let days = self.current.load().days_left();
        let mut looks = self.looks();
        if days >= SOON_DAYS || looks.warned.is_some_and(|warned| warned.elapsed() < WARN) {
            return;
        }
        looks.warned = Some(Instant::now());
        let (certificate, expires) = (self.certificate.display(), self.current.load().expires);
        if days < 0 {
            tracing::error!(%certificate, %expires, "THE CERTIFICATE OF THE PORTS HAS EXPIRED: clients refuse it. Put a new one in its place");
        } else {
            tracing::warn!(%certificate, %expires, days, "the certificate of the ports expires soon: put a new one in its place, which is taken at once");
        }
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        // Nothing that holds it can panic.
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Looks at the files now and then, until the server stops.
pub(super) async fn watch(certificate: Arc<Certificate>, mut stopping: Stopping) {
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => return,
            () = time::sleep(LOOK) => {}
        }
        let looking = Arc::clone(&certificate);
        _ = tokio::task::spawn_blocking(move || looking.refresh(false)).await;
    }
}

/// Links are followed: a new certificate may come by another target.
fn stamps(certificate: &Path, key: &Path) -> Stamps {
    [certificate, key].map(|path| fs::metadata(path).ok().map(|metadata| FileIdentity::of(&metadata)))
}
