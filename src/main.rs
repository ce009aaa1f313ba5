//! Parse, call, print the error.

use clap::Parser;
use mimalloc::MiMalloc;
use tidings::cli::{BadInput, Cli, ExitCode};

/// Many small pieces are written on one thread and let go on another: a sixth of the time went
/// into that with the system's allocator. SQLite's pieces come from it, too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
        stay_on_this_core();
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

/// A play waits for the store's thread some thirty times per event; waking it on another core
/// takes longer than its work. Where this is not possible it is only slower.
#[cfg(target_os = "linux")]
fn stay_on_this_core() {
    use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
    let mut this_core = CpuSet::new();
    this_core.set(sched_getcpu());
    let _ = sched_setaffinity(None, &this_core);
}

#[cfg(not(target_os = "linux"))]
fn stay_on_this_core() {}
