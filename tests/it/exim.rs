//! A real mail server for tests: exim4 on free ports of this machine, with STARTTLS, implicit TLS and AUTH, that delivers
//! into a Maildir. Ended with its value.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long it may take to listen.
const PATIENCE: u32 = 3000;

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A mail server of one test alone.
pub(crate) struct Exim {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) starttls: u16,
    pub(crate) tls: u16,
}

impl Drop for Exim {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn run(command: &mut Command) {
    let shown = format!("{command:?}");
    let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(done.as_ref().is_ok_and(|s| s.success()), "{shown}: {done:?}");
}

impl Exim {
    pub(crate) fn start() -> Exim {
        let found = ["/usr/sbin/exim4", "/usr/sbin/exim"].into_iter().find(|p| Path::new(p).exists());
        let exim = found.expect(
            "exim4 is missing; install it with: sudo apt-get install -y --no-install-recommends exim4-daemon-light",
        );
        let folder = tempfile::tempdir().unwrap();
        let w = folder.path();
        let (starttls, tls) = (free_port(), free_port());
        for name in ["spool", "mail"] {
            std::fs::create_dir(w.join(name)).unwrap();
        }
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
            .args([
                "-keyout",
                &w.join("key.pem").display().to_string(),
                "-out",
                &w.join("cert.pem").display().to_string(),
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ]));
        run(Command::new("chmod").arg("755").arg(w));
        run(Command::new("chown")
            .arg("-R")
            .arg("Debian-exim:Debian-exim")
            .args([w.join("spool"), w.join("mail")]));
        run(Command::new("chown").arg("root:Debian-exim").arg(w.join("key.pem")));
        run(Command::new("chmod").arg("640").arg(w.join("key.pem")));
        let config = include_str!("../fixtures/channels/exim.conf")
            .replace("@W@", &w.display().to_string())
            .replace("@STARTTLS@", &starttls.to_string())
            .replace("@TLS@", &tls.to_string());
        let path = w.join("exim.conf");
        std::fs::write(&path, config).unwrap();
        let child = Command::new(exim)
            .args(["-bdf", "-q1m", "-C"])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Exim { child, folder, starttls, tls };
        for _ in 0..PATIENCE {
            if TcpStream::connect(("127.0.0.1", tls)).is_ok() {
                return server;
            }
            #[expect(clippy::disallowed_methods, reason = "a server of another program gives no hint")]
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("exim does not listen");
    }

    /// The certificate that vouches for it.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// Where mails arrive, a file each.
    pub(crate) fn mails(&self) -> PathBuf {
        self.folder.path().join("mail/new")
    }

    /// Mails that it has taken and not put there yet.
    pub(crate) fn queued(&self) -> usize {
        let input = self.folder.path().join("spool/input");
        let entries = std::fs::read_dir(input).into_iter().flatten().flatten();
        entries.filter(|e| e.file_name().to_string_lossy().ends_with("-H")).count()
    }
}
