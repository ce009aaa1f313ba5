//! Parse, call, print the error.

use clap::Parser;
use tidings::cli::{BadInput, Cli, ExitCode};

fn main() -> std::process::ExitCode {
    // `tidings … | head` ends quietly when the reader has seen enough.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload().downcast_ref::<String>();
        if message.is_some_and(|message| message.contains("Broken pipe")) {
            std::process::exit(0);
        }
        usual(panic);
    }));
    let cli = Cli::parse();
    // A play does one thing after the other: a second thread would only be woken in vain.
    let mut builder = if cli.is_sequential() {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder.enable_all().build().expect("threads can be started");
    // One library for TLS, chosen here and nowhere else.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let code = match runtime.block_on(cli.run()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tidings: {error:#}");
            if error.is::<BadInput>() { ExitCode::BadInput } else { ExitCode::Failed }
        }
    };
    std::process::ExitCode::from(code as u8)
}
