//! The dashboard that a browser gets at `/`: three files, embedded. They hold nothing of the
//! node; the script asks for everything, and puts it in as text. Nothing is loaded from
//! elsewhere, so it works offline, and the policy forbids all else.

/// What the page may do: load its own style and script, and ask the node it came from.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                                 connect-src 'self'; img-src data:; frame-ancestors 'none'; \
                                 base-uri 'none'; form-action 'none'; \
                                 require-trusted-types-for 'script'";

/// The page.
pub(super) const HTML: &str = include_str!("dashboard/index.html");
/// Its style.
pub(super) const STYLE: &str = include_str!("dashboard/dashboard.css");
/// Its script.
pub(super) const SCRIPT: &str = include_str!("dashboard/dashboard.js");
