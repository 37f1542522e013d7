//! The page that a browser gets at `/`: what the node says of itself, and nothing it does
//! not know. No script, no style from elsewhere; everything that came from outside is escaped.

use std::fmt::Write;

use super::views::{Moment, Role};

/// What the page may load: nothing but its own style.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
                                 frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The page at this `moment`.
pub(super) fn render(moment: &Moment<'_>) -> String {
    let status = moment.status();
    let mut rows = String::new();
    for member in moment.members().members {
        // Writing to a string cannot fail.
        let _ = writeln!(
            rows,
            "<tr><td>{}<td>{}<td>{}<td>{}",
            member.id,
            member.addr,
            member.state.word(),
            member.role.word()
        );
    }
    let goose = status.goose.as_ref().map_or_else(
        || "This node knows no Goose at the moment.".to_owned(),
        |goose| format!("The Goose is node {} at {}, term {}.", goose.id, goose.addr, goose.term),
    );
    let lease = match (&status.lease, status.role) {
        (Some(lease), Role::Goose) => {
            format!(" Its lease had {} ms left when this was written.", lease.remaining_ms)
        }
        _ => String::new(),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta http-equiv=\"refresh\" content=\"2\"><title>{word}: node {id}</title>\n\
         <style>body{{font:16px/1.5 sans-serif;margin:2em}}td,th{{text-align:left;\
         padding:0 1em 0 0}}</style>\n<h1>{word}</h1>\n<p>Node {id} of cluster \
         \u{201c}{cluster}\u{201d} at {address}.{lease} {goose}</p>\n<table>\n\
         <tr><th>Node<th>Address<th>State<th>Role\n{rows}</table>\n\
         <p>True when it was written; the page asks again every two seconds.</p>\n</html>\n",
        word = status.role.word(),
        id = status.node.id,
        cluster = escaped(&status.cluster),
        address = status.node.addr,
    )
}

/// `text` with what HTML would take for markup replaced.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
