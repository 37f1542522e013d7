//! A name server for the hosts of a sandbox: what a name leads to is what the test says at that moment.
//!
//! It answers questions for IPv4 addresses, with all that it has. What does not fit into an answer over UDP
//! (512 bytes, RFC 1035, section 4.2.1) is asked for again over TCP, as by any other server.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use super::network::OBSERVER;
use super::sandbox::tool;

const PORT: u16 = 53;
/// The longest answer over UDP.
const SIZE_MAX: usize = 512;
/// Where a question's own part begins.
const HEADER_SIZE: usize = 12;
const TYPE_A: u16 = 1;
/// An answer, recursion available, no error.
const FLAGS: [u8; 2] = [0x81, 0x80];
/// The same, and there is no such name.
const FLAGS_UNKNOWN: [u8; 2] = [0x81, 0x83];
/// The same, cut off.
const FLAGS_CUT: [u8; 2] = [0x83, 0x80];

type Table = Arc<Mutex<BTreeMap<String, Vec<Ipv4Addr>>>>;

/// The server. Its threads end with the sandbox.
#[derive(Debug)]
pub(crate) struct Names(Table);

impl Names {
    /// Starts it where the observer is, and has every process of the sandbox ask it.
    pub(crate) fn serve() -> Self {
        let table = Table::default();
        let socket = UdpSocket::bind((OBSERVER, PORT)).expect("a socket");
        let listener = TcpListener::bind((OBSERVER, PORT)).expect("a socket");
        let of_datagrams = Arc::clone(&table);
        std::thread::spawn(move || answer_datagrams(&socket, &of_datagrams));
        let of_streams = Arc::clone(&table);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let table = Arc::clone(&of_streams);
                // It ends with its connection.
                std::thread::spawn(move || answer_stream(stream, &table));
            }
        });
        let files = [
            ("resolv.conf", format!("nameserver {OBSERVER}\noptions timeout:1 attempts:1\n")),
            ("nsswitch.conf", "hosts: files dns\n".to_owned()),
        ];
        for (name, words) in files {
            let (here, there) = (format!("/run/{name}"), format!("/etc/{name}"));
            std::fs::write(&here, words).expect("a file");
            tool(&["mount", "--bind", &here, &there]);
        }
        Self(table)
    }

    /// From now on `name` leads there.
    pub(crate) fn set(&self, name: &str, addresses: &[Ipv4Addr]) {
        self.0.lock().unwrap().insert(name.to_owned(), addresses.to_vec());
    }
}

fn answer_datagrams(socket: &UdpSocket, table: &Table) {
    let mut question = [0; SIZE_MAX];
    while let Ok((length, from)) = socket.recv_from(&mut question) {
        let Some(mut answer) = answer(&question[..length], table) else { continue };
        if answer.len() > SIZE_MAX {
            let end = question_end(&answer).unwrap_or(HEADER_SIZE);
            answer.truncate(end);
            answer[2..4].copy_from_slice(&FLAGS_CUT);
            answer[6..8].copy_from_slice(&[0, 0]);
        }
        // Who asked may be gone.
        let _ = socket.send_to(&answer, from);
    }
}

/// Questions for both kinds of addresses may come over one connection.
fn answer_stream(mut stream: TcpStream, table: &Table) -> std::io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut question = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut question)?;
        let Some(answer) = answer(&question, table) else { return Ok(()) };
        let length = u16::try_from(answer.len()).expect("a short answer").to_be_bytes();
        stream.write_all(&[&length[..], &answer].concat())?;
    }
}

/// Where the first question ends.
fn question_end(message: &[u8]) -> Option<usize> {
    let labels = message.get(HEADER_SIZE..)?;
    let zero = labels.iter().position(|byte| *byte == 0)?;
    // The zero, the type and the class.
    Some(HEADER_SIZE + zero + 5).filter(|end| *end <= message.len())
}

/// All that is known of the name that is asked for.
fn answer(message: &[u8], table: &Table) -> Option<Vec<u8>> {
    let end = question_end(message)?;
    let mut labels = &message[HEADER_SIZE..end - 5];
    let mut name = Vec::new();
    while let Some((length, rest)) = labels.split_first() {
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        name.push(String::from_utf8_lossy(label).to_lowercase());
        labels = rest;
    }
    let kind = u16::from_be_bytes([message[end - 4], message[end - 3]]);
    let known = table.lock().unwrap().get(&name.join(".")).cloned();
    let flags = if known.is_some() { FLAGS } else { FLAGS_UNKNOWN };
    let addresses = known.filter(|_| kind == TYPE_A).unwrap_or_default();
    let count = u16::try_from(addresses.len()).ok()?.to_be_bytes();
    let mut answer = message[..2].to_vec();
    answer.extend(flags);
    answer.extend([0, 1, count[0], count[1], 0, 0, 0, 0]);
    answer.extend(&message[HEADER_SIZE..end]);
    for address in addresses {
        // The name of the question, an IPv4 address, for no time at all, of four bytes.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
