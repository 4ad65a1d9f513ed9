//! Shell completions and manual pages.

use super::{cannot_run, say};
use clap::Command;
use clap_complete::Shell;
use std::{fs, io, path::Path, process::ExitCode};

/// Prints a shell's completion script.
pub(super) fn completions(shell: Shell, mut command: Command) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, env!("CARGO_PKG_NAME"), &mut text);
    say(String::from_utf8_lossy(&text).trim_end());
    ExitCode::SUCCESS
}

/// Prints the manual page of the program, or writes one for each sub-command into a folder.
pub(super) fn manual(folder: Option<&Path>, command: Command) -> ExitCode {
    let written = match folder {
        Some(folder) => fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder)),
        None => page(command).map(|page| say(page.trim_end())),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => cannot_run(&format!("the manual pages cannot be written: {err}")),
    }
}

fn page(command: Command) -> io::Result<String> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
