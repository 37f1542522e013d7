//! What this machine is called: what a node is called, unless somebody names it.

/// The host name, if the system has one that can be read.
pub fn host_name() -> Option<String> {
    let system = rustix::system::uname();
    let name = system.nodename().to_str().ok()?;
    (!name.is_empty() && name != "(none)").then(|| name.to_owned())
}
