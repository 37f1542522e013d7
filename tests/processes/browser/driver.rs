//! As much of the WebDriver protocol as the tests need: plain HTTP and JSON to a chromedriver
//! of our own, so that no browser library is needed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::poll_until;
use crate::harness::process::free_port;

/// A browser's start may take long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keep the browser from doing anything but what it is told: nothing in the background, nothing
/// to the network but the node.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1100,1000",
];

/// One browser. Dropping it ends it.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A browser that has just been started; none if it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={}", address.port()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut browser = Self { driver, address, session: String::new(), _profile: profile };
        let ready = poll_until(PATIENCE, || browser.exchange("GET", "/status", &Value::Null));
        assert!(ready.is_some(), "chromedriver runs and does not answer");
        let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--user-data-dir={}", browser._profile.path().display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": {"args": flags}}}});
        let made = browser.exchange("POST", "/session", &wanted);
        let made = made.expect("chromedriver can start chromium");
        browser.session = made["sessionId"].as_str().expect("a session").to_owned();
        Some(browser)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.exchange(method, &path, body).unwrap_or_else(|| panic!("no answer to {path}"))
    }

    pub(crate) fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// What a script returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text of the element `id`, as a person sees it.
    pub(crate) fn text(&self, id: &str) -> String {
        let text = self.run(&format!("return document.getElementById('{id}').innerText"));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// What the browser complained of: refused loads, errors of the script.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.ask("POST", "/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["message"].to_string()).collect()
    }

    pub(crate) fn resize(&self, width: u32, height: u32) {
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params":
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}});
        self.ask("POST", "/goog/cdp/execute", &command);
    }

    pub(crate) fn prefer(&self, scheme: &str) {
        let command = json!({"cmd": "Emulation.setEmulatedMedia", "params":
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]}});
        self.ask("POST", "/goog/cdp/execute", &command);
    }

    /// Writes a picture of the page into `folder`.
    pub(crate) fn picture(&self, folder: &Path, name: &str) {
        let text = self.ask("GET", "/screenshot", &Value::Null);
        let path = folder.join(format!("{name}.png"));
        std::fs::write(path, base64(text.as_str().unwrap_or_default())).expect("a picture");
    }

    /// One request, one connection. Nothing if there is no good answer.
    fn exchange(&self, method: &str, path: &str, body: &Value) -> Option<Value> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let body = if method != "POST" { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\
             \r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        // The driver leaves the connection open, whatever it was asked: the length counts.
        let mut reader = BufReader::new(stream);
        let (mut status, mut length) = (String::new(), 0);
        reader.read_line(&mut status).ok()?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let answer: Value = serde_json::from_slice(&body).ok()?;
        if !status.starts_with("HTTP/1.1 200") {
            eprintln!("{method} {path}: {answer}");
            return None;
        }
        Some(answer["value"].clone())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // It ends its browser; the driver alone would leave it behind.
            let _ = self.exchange("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn base64(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or(0));
        }
    }
    bytes
}
