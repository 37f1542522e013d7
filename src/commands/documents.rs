//! What the program says of its own command line for others to keep: completion scripts and
//! manual pages. Both are made by the program that they are about, so they cannot fall behind it.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::arguments::Arguments;
use super::{CommandError, Exit, print};

/// What stands at the top of every manual page.
const MANUAL: &str = "gaggle";

/// Prints the script that completes this command line in `shell`.
pub(super) fn completions(shell: clap_complete::Shell) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "gaggle", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Writes a manual page for each command into `folder`.
pub(super) fn man(folder: &Path) -> Result<Exit, CommandError> {
    let unwritten = |error| CommandError::ManualPages { folder: folder.to_owned(), error };
    std::fs::create_dir_all(folder).map_err(unwritten)?;
    let mut program = Arguments::command().disable_help_subcommand(true);
    // Gives every command its whole name: `gaggle-voters-add`.
    program.build();
    let pages = write_pages(&program, folder).map_err(unwritten)?;
    print(&format!("wrote {pages} pages: man -l {}\n", first_page(folder).display()))?;
    Ok(Exit::Done)
}

fn first_page(folder: &Path) -> PathBuf {
    folder.join("gaggle.1")
}

/// The pages of `command` and of all below it; how many these are.
fn write_pages(command: &clap::Command, folder: &Path) -> std::io::Result<usize> {
    let mut pages = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages += write_pages(below, folder)?;
    }
    let source = concat!("gaggle ", env!("CARGO_PKG_VERSION"));
    let page = clap_mangen::Man::new(command.clone()).source(source).manual(MANUAL);
    page.generate_to(folder)?;
    Ok(pages)
}
