//! `klaxon rule new`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::Exit;
use crate::cli::exit::fail;
use crate::cli::schema::schemas;
use crate::scaffold;

#[derive(Debug, Args)]
pub(in crate::cli) struct NewArguments {
    /// Folder of the new rule; its last part is the rule's name
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// The language that it is written in
    #[arg(long, value_enum, default_value_t)]
    lang: Language,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Language {
    /// Rust, with the SDK that this binary came with
    #[default]
    Rust,
}

pub(super) fn new(arguments: &NewArguments) -> Exit {
    let made = match arguments.lang {
        Language::Rust => scaffold::rust(&arguments.folder, &schemas()),
    };
    match made {
        Ok(()) => {
            let folder = arguments.folder.display();
            crate::cli::print(&format!("made {folder}; next: klaxon test {folder}\n"));
            Exit::Success
        }
        Err(error) => fail(Exit::CouldNotRun, &error),
    }
}
