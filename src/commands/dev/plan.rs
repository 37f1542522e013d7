//! What the local cluster is made of: ports that are free now, a folder of its own, and the
//! command line of each node.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use super::DevError;
use crate::commands::arguments::DevArguments;
use crate::config::checked::HTTP_PORT_OFFSET;

/// The first gossip port that is tried.
const PORT_FIRST: u16 = 8000;
/// The last: other ports are up to 2000 above, and a hundred nodes must fit.
const PORT_LAST: u16 = 63_000;
/// Behind links a node listens this far above the address that it advertises.
const LISTEN_PORT_OFFSET: u16 = 2 * HTTP_PORT_OFFSET;
/// Voters unless told otherwise: the fewest that survive a loss.
const VOTERS_DEFAULT: u16 = 3;

/// The whole cluster. Its folder is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Plan {
    /// Lowest id first.
    pub(super) nodes: Vec<PlannedNode>,
    folder: PathBuf,
}

/// One node.
#[derive(Clone, Debug)]
pub(super) struct PlannedNode {
    /// Its id, from 1 on.
    pub(super) id: u16,
    /// Its gossip and election address, as the others know it.
    pub(super) address: SocketAddr,
    /// Where it listens: there, or behind the links that stand for it there.
    pub(super) listen: SocketAddr,
    /// Its HTTP address.
    pub(super) http: SocketAddr,
    /// Where its log goes.
    pub(super) log: PathBuf,
    /// The arguments after `gaggle`.
    pub(super) arguments: Vec<String>,
}

impl Plan {
    /// The cluster that `arguments` ask for. Its folder exists afterwards, and nothing else. `linked`:
    /// somebody stands between the nodes.
    pub(super) fn new(arguments: &DevArguments, linked: bool) -> Result<Self, DevError> {
        let nodes = arguments.nodes;
        let voters = arguments.voters.unwrap_or(VOTERS_DEFAULT.min(nodes));
        if voters > nodes {
            return Err(DevError::TooManyVoters { voters, nodes });
        }
        let port = free_ports(nodes).ok_or(DevError::NoPorts(nodes))?;
        let folder = new_folder()?;
        let size = Size { nodes, voters, linked };
        let nodes = planned(&folder, port, size, &arguments.profile);
        Ok(Self { nodes, folder })
    }
}

#[cfg(test)]
impl Plan {
    /// These nodes, and no folder.
    pub(super) fn of(nodes: Vec<PlannedNode>) -> Self {
        Self { nodes, folder: PathBuf::new() }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // What cannot be removed is in a temporary folder anyway.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// How many nodes, and whether links stand between them.
#[derive(Clone, Copy)]
struct Size {
    nodes: u16,
    voters: u16,
    linked: bool,
}

fn planned(folder: &Path, port: u16, size: Size, profile: &str) -> Vec<PlannedNode> {
    let Size { nodes, voters, linked } = size;
    let address = |id: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port + id - 1));
    let listen = |id: u16| {
        let offset = if linked { LISTEN_PORT_OFFSET } else { 0 };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port + offset + id - 1))
    };
    let listed: Vec<String> = (1..=voters).map(|id| format!("{id}={}", address(id))).collect();
    let node = |id: u16| {
        let state = folder.join(format!("node-{id}"));
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, port + HTTP_PORT_OFFSET + id - 1));
        let mut arguments = vec![
            "run".to_owned(),
            listen(id).to_string(),
            format!("--id={id}"),
            // All of them are on one host, whose name says nothing.
            format!("--name={id}"),
            "--cluster=dev".to_owned(),
            format!("--state-dir={}", state.display()),
        ];
        // Voters are told who votes; the others learn it from them.
        if id <= voters {
            arguments.push(format!("--voters={}", listed.join(",")));
        } else {
            arguments.extend((1..=voters).map(|id| format!("--seed={}", address(id))));
        }
        if linked {
            arguments.extend([format!("--advertise={}", address(id)), format!("--http={http}")]);
        }
        if profile != "lan" {
            arguments.push(format!("--profile={profile}"));
        }
        PlannedNode {
            id,
            address: address(id),
            listen: listen(id),
            http,
            log: folder.join(format!("node-{id}.log")),
            arguments,
        }
    };
    (1..=nodes).map(node).collect()
}

/// The first of so many gossip ports in a row that are free, the others of a node included.
fn free_ports(nodes: u16) -> Option<u16> {
    let step = nodes.next_multiple_of(10);
    (PORT_FIRST..PORT_LAST).step_by(step.into()).find(|first| {
        (*first..*first + nodes).all(|port| {
            UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
                && UdpSocket::bind((Ipv4Addr::LOCALHOST, port + LISTEN_PORT_OFFSET)).is_ok()
                && TcpListener::bind((Ipv4Addr::LOCALHOST, port + HTTP_PORT_OFFSET)).is_ok()
        })
    })
}

/// A folder that nobody else has, readable by this user only.
fn new_folder() -> Result<PathBuf, DevError> {
    use std::os::unix::fs::DirBuilderExt;
    let parent = std::env::temp_dir();
    let mut number = 0;
    loop {
        let folder = parent.join(format!("gaggle-dev-{}-{number}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            // Left behind by an earlier process of this number.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 100 => {
                number += 1;
            }
            Err(source) => {
                return Err(DevError::Folder { folder: folder.display().to_string(), source });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::commands::arguments::{Arguments, Command};
    use crate::config::{Checked, Environment};

    #[test]
    fn every_node_of_the_plan_has_sound_settings() {
        let both = [false, true].map(|linked| {
            planned(Path::new("/tmp/x"), 8000, Size { nodes: 5, voters: 3, linked }, "fast")
        });
        assert_eq!(both.each_ref().map(Vec::len), [5, 5]);
        for node in both.iter().flatten() {
            let line = std::iter::once("gaggle").chain(node.arguments.iter().map(String::as_str));
            let Command::Run(raw) = Arguments::parse_from(line).command else {
                panic!("no `run`: {node:?}");
            };
            let settings = Checked::of(&raw, &Environment::default()).unwrap();
            assert_eq!(settings.setup.id.number(), u64::from(node.id));
            assert_eq!((settings.setup.address, settings.http), (node.address, Some(node.http)));
            assert_eq!(settings.listen, node.listen);
            assert_eq!(settings.setup.voters.is_some(), node.id <= 3);
            assert_eq!(settings.setup.seeds.len(), if node.id <= 3 { 2 } else { 3 });
            assert!(settings.warnings.is_empty());
        }
    }

    #[test]
    fn taken_ports_are_stepped_over() {
        let first = free_ports(3).unwrap();
        // Held from here on; a neighbour may have taken it in the meantime, with the same effect.
        let _held = UdpSocket::bind((Ipv4Addr::LOCALHOST, first + 1));
        assert_ne!(free_ports(3), Some(first));
    }

    #[test]
    fn the_folder_goes_with_the_plan() {
        let folder = new_folder().unwrap();
        let plan = Plan { nodes: Vec::new(), folder: folder.clone() };
        assert!(folder.is_dir());
        drop(plan);
        assert!(!folder.exists());
    }
}
