//! What threads share, under the model checker loom: every interleaving that the memory model
//! allows, of the very sources that are built into the product.
//!
//! Three places are shared without the driver in between: the published lease, the count of
//! guards, and the hand-over of a permit to work and back. Their files name what they share
//! through a module `sync` beside them; here another `sync` stands in its place. Every check has a
//! twin that runs it on the same thing with a mutant, and must fail.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    reason = "parts of the product, seen by themselves"
)]

use gaggle::vocabulary;

mod library;
mod shell;
