//! `tidings openapi`, `completions` and `man`: what is made of the code itself.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, ExitCode, Outcome};

/// Print completions for a shell
#[derive(Debug, Args)]
pub struct Completions {
    shell: Shell,
}

/// Print the manual page, or that of one command
#[derive(Debug, Args)]
pub struct Man {
    command: Option<String>,
}

/// Prints the OpenAPI document.
pub fn openapi() -> Outcome {
    println!("{}", crate::web::openapi().to_pretty_json()?);
    Ok(ExitCode::Done)
}

impl Completions {
    pub fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tidings", &mut script);
        std::io::stdout().write_all(&script)?;
        Ok(ExitCode::Done)
    }
}

impl Man {
    pub fn run(self) -> Outcome {
        let mut all = Cli::command();
        all.build();
        let page = match &self.command {
            None => all,
            Some(name) => {
                let found = all.find_subcommand(name).cloned();
                found.ok_or_else(|| super::BadInput(format!("there is no command {name:?}")))?
            }
        };
        let mut text = Vec::new();
        clap_mangen::Man::new(page).render(&mut text)?;
        std::io::stdout().write_all(&text)?;
        Ok(ExitCode::Done)
    }
}
