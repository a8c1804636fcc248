//! `shiftbell config`: what can be configured, and the files inside the program.

use std::io::{self, Write};
use std::process::ExitCode;

use schemars::JsonSchema;

use crate::config::{builtin, schema_for};

/// Print the schema of the configuration, and the files inside the program.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum ConfigCommand {
    /// Print the JSON Schema of the configuration, so that editors complete and check it.
    Schema,
    /// List the files inside the program that `include = ["builtin:NAME"]` takes over.
    Files,
    /// Print one of the files inside the program, to read or to start from.
    Show {
        /// Its name, such as `policies/handbook.toml`.
        name: String,
    },
}

/// Answers a `config` command for settings of the type `T`.
///
/// # Errors
/// `out` or `err` cannot be written.
pub fn config<T: JsonSchema>(
    command: &ConfigCommand,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<ExitCode> {
    match command {
        ConfigCommand::Schema => writeln!(out, "{}", schema_for::<T>())?,
        ConfigCommand::Files => {
            for name in builtin::names() {
                writeln!(out, "{}{name}", builtin::PREFIX)?;
            }
        }
        ConfigCommand::Show { name } => {
            let plain = name.strip_prefix(builtin::PREFIX).unwrap_or(name);
            match builtin::text(plain) {
                Some(text) => out.write_all(text.as_bytes())?,
                None => {
                    let names: Vec<&str> = builtin::names().collect();
                    writeln!(
                        err,
                        "error: there is no file `{name}` inside the program, expected one of: {}",
                        names.join(", ")
                    )?;
                    return Ok(ExitCode::from(2));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(command: &ConfigCommand) -> (String, ExitCode) {
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema is looked at")]
        struct Settings {
            seats: u8,
        }
        let mut out = Vec::new();
        let code = config::<Settings>(command, &mut out, &mut io::sink()).unwrap();
        (String::from_utf8(out).unwrap(), code)
    }

    #[test]
    fn every_file_inside_the_program_is_listed_and_shown() {
        let (list, _) = answer(&ConfigCommand::Files);
        assert!(list.contains("builtin:policies/handbook.toml\n"), "{list}");
        for name in list.lines() {
            let (text, code) = answer(&ConfigCommand::Show { name: name.to_owned() });
            assert!(code == ExitCode::SUCCESS && !text.is_empty(), "{name}");
        }
        let (_, code) = answer(&ConfigCommand::Show { name: "nope.toml".to_owned() });
        assert_eq!(code, ExitCode::from(2));
    }

    #[test]
    fn the_schema_is_json() {
        let (schema, _) = answer(&ConfigCommand::Schema);
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        assert!(schema["properties"]["seats"].is_object());
    }
}
