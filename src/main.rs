//! The `gaggle` binary: all it does is in [`gaggle::commands`].

fn main() -> std::process::ExitCode {
    gaggle::commands::main()
}
